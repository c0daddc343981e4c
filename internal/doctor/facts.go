package doctor

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// Facts are all that is judged.
type Facts struct {
	Cluster     *state.Cluster `json:"-"`
	Servers     []Server       // that answered, by name
	Workstation Workstation
	Logins      map[string]Login `json:"-"` // by server

	plugged []plug // of plugs
}

// Login is how a person logs in to a server as flock does.
type Login struct {
	Args   []string // of ssh(1), the destination included
	Root   bool     // as root
	Named  bool     // keys are named for it: others are not tried before them
	Forget string   // a shell's line by which ssh forgets its host key; "": it remembers none
}

// Server is what is known of one.
type Server struct {
	Name  string
	Entry *state.Server // in the cluster file
	Want  *spec.Host
	Facts *spec.Facts
	Plan  *spec.Plan // what differs from Want
	Seen  *spec.DoctorReply
	Skew  time.Duration // by how much its clock is ahead of the workstation's

	Containers []spec.Container
	Rules      *kernel.Rules `json:"-"` // nil: not known

	read  map[string]string // of texts
	links []device          // of devices
}

// device is a network device of a server.
type device struct {
	index             int // 0: not known
	name, kind, alias string
	addrs             []netip.Prefix // host bits kept
}

// Workstation is what is known of the machine that flock runs on.
type Workstation struct {
	Keys int // that the SSH agent offers
	Open []Open
}

// Open is a file that SSH or flock trusts, and that others may read or write.
type Open struct {
	Path string
	Mode int // permission bits
	Most int // those of them that are right
}

// files are those whose text is wanted: patterns for a shell.
const files = "/etc/machine-id /etc/ssh/ssh_host_*_key.pub /etc/os-release /etc/modprobe.d/*.conf" +
	" /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/neigh/default/gc_thresh3" +
	" /proc/net/stat/arp_cache /proc/sys/fs/inotify/max_user_instances" +
	" /etc/ufw/ufw.conf /etc/default/ufw /etc/systemd/networkd.conf /etc/systemd/networkd.conf.d/*.conf" +
	" /run/systemd/networkd.conf.d/*.conf /usr/lib/systemd/networkd.conf.d/*.conf"

// units are those of flock on a server.
const units = "/etc/systemd/system/flock-*.service"

// scripts are what is run on a server, by name. They change nothing. One that ends with a status
// other than 0 could not tell: grep's 2 is a file that is not there.
var scripts = []struct{ name, text string }{
	{"files", "grep -aHs '' " + files + "; [ $? -le 2 ]"},
	{"units", "grep -aHs '' " + units + "; [ $? -le 2 ]"},
	{"ufw", `grep -hs -e '^### tuple ###' -e '^-A ufw6*-before-input .*-j ACCEPT' /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/before.rules /etc/ufw/before6.rules; [ $? -le 2 ]`},
	{"devices", "ip -j -d address show 2>/dev/null"},
	{"modules", `test -d /lib/modules/$(uname -r) || test ! -e /proc/modules || echo gone`},
	{"sshd", `sshd -T 2>/dev/null | grep -E '^(maxstartups|maxsessions|maxauthtries) '`},
	{"docker", `{ dockerd --version || docker --version; } 2>/dev/null; grep -so '"firewall-backend": *"[a-z]*"' /etc/docker/daemon.json; [ $? -le 2 ]`},
	{"pools", `grep -oE '"(base|bip)": *"[^"]*"' /etc/docker/daemon.json 2>/dev/null`},
	{"firewalld", `{ ! command -v busctl || busctl --auto-start=no status org.fedoraproject.FirewallD1; } >/dev/null 2>&1 && firewall-cmd --get-default-zone 2>/dev/null && firewall-cmd --list-all-zones`},
	{"networkd", `systemctl -q is-active systemd-networkd 2>/dev/null && echo active`},
	{"named", `{ systemctl -q is-active named || systemctl -q is-active bind9; } 2>/dev/null && { grep -rhsE '^[[:space:]]*listen-on[[:space:]{]' /etc/bind /etc/named.conf | grep -qvE '[{][[:space:]]*any;' || echo any; }`},
	{"queues", `q() { ss -Hlnup 'sport = :53 or sport = :67' 2>/dev/null | awk '$2 > 0 { print $4, $6 }'; }; a=$(q); [ -z "$a" ] || { sleep 0.5; q; }`},
	{"nm", `nmcli -t -f DEVICE,STATE device 2>/dev/null`},
	{"dnsmasq", `command -v dnsmasq || :`},
	{"agents", "ls -d " + strings.Join(spec.Places, "/* ") + "/* 2>/dev/null; :"},
	{"running", `readlink /proc/[0-9]*/exe 2>/dev/null | grep -E '^(` + strings.Join(spec.Places, "|") + `)/' | sort -u`},
	{"clusters", `cd /var/lib/flock 2>/dev/null || exit 0; for f in */spec.json; do [ ! -e "$f" ] || echo "$f"; done`},
	{"fixed", `ip -4 neighbour show nud permanent 2>/dev/null || exit 1`},
	{"inotify", `find /proc/[0-9]*/fd -maxdepth 1 -user root -lname anon_inode:inotify 2>/dev/null | wc -l`},
}

// Request is what every server is asked for.
func Request() *spec.DoctorRequest {
	r := &spec.DoctorRequest{Kinds: []string{spec.Bridge, spec.VXLAN, spec.WireGuard, spec.GRE, spec.IP6GRE, spec.IPIP}, Chains: true, Boot: []string{forwardingKey}}
	for _, s := range scripts {
		r.Run = append(r.Run, s.text)
	}
	return r
}

// ran is what a script printed, without the blank at its ends; "" where that is not all that it
// had to say.
func (s *Server) ran(name string) string {
	text, _ := s.answer(name)
	return text
}

// answer is ran, and says whether the script told all.
func (s *Server) answer(name string) (text string, whole bool) {
	for i, one := range scripts {
		if one.name == name && i < len(s.Seen.Ran) && s.Seen.Ran[i].Status == 0 && s.Seen.Ran[i].Why == "" {
			return strings.TrimSpace(s.Seen.Ran[i].Text), true
		}
	}
	return "", false
}

// unanswered are scripts that printed too much, or did not end: what they are asked for is not
// judged.
func unanswered(s *Server, _ *Facts) []Finding {
	var out []Finding
	for i, one := range scripts {
		if i < len(s.Seen.Ran) && s.Seen.Ran[i].Why != "" {
			out = append(out, Finding{
				Object: one.name, What: "what it was asked about " + one.name + " is not known: " + s.Seen.Ran[i].Why,
				Why: "nothing is judged by half an answer",
				Fix: "(" + one.text + ") | wc",
			})
		}
	}
	return out
}

// texts are the files, by path: grep puts the path and a colon before each line. Names of our
// units may have a colon themselves.
func (s *Server) texts() map[string]string {
	if s.read != nil {
		return s.read
	}
	s.read = map[string]string{}
	for line := range strings.Lines(s.ran("files") + "\n" + s.ran("units")) {
		name, text, ok := strings.Cut(line, ":")
		if i := strings.Index(line, ".service:"); strings.HasPrefix(line, "/etc/systemd/system/") && i >= 0 {
			end := i + len(".service")
			name, text = line[:end], line[end+1:]
		}
		if ok {
			s.read[name] += text
		}
	}
	return s.read
}

// text is a file's, without the blank at its ends.
func (s *Server) text(path string) string { return strings.TrimSpace(s.texts()[path]) }

// number is a file's number, 0 where there is none.
func (s *Server) number(path string) int {
	n, _ := strconv.Atoi(s.text(path)) // text that is none is 0
	return n
}

// matching are the paths of the files that a pattern matches, sorted.
func (s *Server) matching(pattern string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.texts())), func(p string) bool {
		ok, err := path.Match(pattern, p)
		return err != nil || !ok
	})
}

// devices are all that ip(8) lists; none where it is not installed, or prints no JSON.
func (s *Server) devices() []device {
	if s.links != nil {
		return s.links
	}
	var list []struct {
		Index int    `json:"ifindex"`
		Name  string `json:"ifname"`
		Alias string `json:"ifalias"`
		Info  struct {
			Kind string `json:"info_kind"`
		} `json:"linkinfo"`
		Addrs []struct {
			Local netip.Addr `json:"local"`
			Bits  int        `json:"prefixlen"`
		} `json:"addr_info"`
	}
	_ = json.Unmarshal([]byte(s.ran("devices")), &list) // text that is none has no devices
	s.links = []device{}
	for _, l := range list {
		d := device{index: l.Index, name: l.Name, kind: l.Info.Kind, alias: l.Alias}
		for _, a := range l.Addrs {
			d.addrs = append(d.addrs, netip.PrefixFrom(a.Local, a.Bits))
		}
		s.links = append(s.links, d)
	}
	return s.links
}

// wanted are the devices that the server is to have, of a kind.
func (s *Server) wanted(kind string) []spec.Link {
	return slices.DeleteFunc(slices.Clone(s.Want.Links), func(l spec.Link) bool { return l.Kind != kind })
}

// system is the distribution, as /etc/os-release names its family.
func (s *Server) system() string {
	id, like := "", ""
	for line := range strings.Lines(s.text("/etc/os-release")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			id = value
		case "ID_LIKE":
			like = value
		}
	}
	return id + " " + like
}

// install is the command that installs a program, as Debian and as others call its package.
func (s *Server) install(debian, others string) string {
	switch system := s.system(); {
	case strings.Contains(system, "debian"), strings.Contains(system, "ubuntu"):
		return "apt-get install -y " + debian
	case strings.Contains(system, "alpine"):
		return "apk add " + others
	case strings.Contains(system, "arch"):
		return "pacman -S --noconfirm " + others
	case strings.Contains(system, "suse"):
		return "zypper install -y " + others
	}
	return "dnf install -y " + others
}

// older says whether a version that begins with a number is before major.minor.
func older(text string, major, minor int) bool {
	first, second, _ := strings.Cut(text, ".")
	one, err := strconv.Atoi(first)
	second = second[:len(second)-len(strings.TrimLeft(second, "0123456789"))]
	two, _ := strconv.Atoi(second)
	return err == nil && cmp.Or(cmp.Compare(one, major), cmp.Compare(two, minor)) < 0
}

// has says whether an address is one of the server's: the agent names those of ways out of it,
// and host addresses; ip(8), where it answered, all.
func (s *Server) has(a netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Addr() == a }
	return slices.ContainsFunc(s.Facts.Interfaces, func(i spec.Interface) bool { return slices.ContainsFunc(i.Addrs, in) }) ||
		slices.ContainsFunc(s.devices(), func(d device) bool { return slices.ContainsFunc(d.addrs, in) }) ||
		slices.ContainsFunc(slices.Concat(s.Facts.Local, s.Facts.Prefixes), func(p netip.Prefix) bool { return p.IsSingleIP() && p.Addr() == a })
}

// underlay is where networks reach the server by default.
func (s *Server) underlay() (device string, at netip.Addr) {
	device, at, _, _ = ground.DefaultUnderlay(s.Name, s.Entry)
	return device, at
}

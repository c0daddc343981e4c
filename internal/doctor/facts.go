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
)

// Facts are all that is judged.
type Facts struct {
	Cluster     *state.Cluster `json:"-"`
	Servers     []Server       // that answered, by name
	Workstation Workstation
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

	read  map[string]string // of texts
	links []device          // of devices
}

// device is a network device of a server.
type device struct {
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
	" /proc/net/stat/arp_cache /proc/sys/fs/inotify/max_user_instances /etc/sysctl.conf /etc/sysctl.d/*.conf" +
	" /etc/ufw/ufw.conf /etc/ufw/user.rules /etc/systemd/networkd.conf /etc/systemd/networkd.conf.d/*.conf" +
	" /etc/systemd/network/*.link /usr/lib/systemd/network/99-default.link /etc/systemd/system/flock-*.service" +
	" /sys/class/net/*/addr_assign_type"

// scripts are what is run on a server, by name. They change nothing.
var scripts = []struct{ name, text string }{
	{"files", "grep -aHs '' " + files},
	{"devices", "ip -j -d address show 2>/dev/null"},
	{"modules", `test -d /lib/modules/$(uname -r) || test ! -e /proc/modules || echo gone`},
	{"sshd", `sshd -T 2>/dev/null | grep -E '^(maxstartups|maxsessions|maxauthtries) '`},
	{"docker", `{ dockerd --version || docker --version; } 2>/dev/null; grep -o '"firewall-backend": *"[a-z]*"' /etc/docker/daemon.json 2>/dev/null`},
	{"pools", `grep -oE '"(base|bip)": *"[^"]*"' /etc/docker/daemon.json 2>/dev/null`},
	{"firewalld", `firewall-cmd --state >/dev/null 2>&1 && { firewall-cmd --list-ports; firewall-cmd --zone=trusted --list-interfaces; firewall-cmd --zone=trusted --list-sources; echo active; }`},
	{"networkd", `systemctl -q is-active systemd-networkd 2>/dev/null && echo active`},
	{"named", `{ systemctl -q is-active named || systemctl -q is-active bind9; } 2>/dev/null && { grep -rqsE '^[[:space:]]*listen-on[[:space:]{]' /etc/bind /etc/named.conf || echo any; }`},
	{"nm", `nmcli -t -f DEVICE,STATE device 2>/dev/null`},
	{"dnsmasq", `dnsmasq --version 2>/dev/null | head -n 1`},
	{"agents", `ls /usr/local/lib/flock 2>/dev/null`},
	{"running", `readlink /proc/[0-9]*/exe 2>/dev/null | grep ^/usr/local/lib/flock/ | sort -u`},
	{"clusters", `cd /var/lib/flock 2>/dev/null && ls -d */spec.json`},
	{"inotify", `find /proc/[0-9]*/fd -maxdepth 1 -user root -lname anon_inode:inotify 2>/dev/null | wc -l`},
}

// Request is what every server is asked for.
func Request() *spec.DoctorRequest {
	r := &spec.DoctorRequest{Kinds: []string{spec.Bridge, spec.VXLAN, spec.WireGuard, spec.GRE, spec.IP6GRE, spec.IPIP}, Chains: true}
	for _, s := range scripts {
		r.Run = append(r.Run, s.text)
	}
	return r
}

// ran is what a script printed, without the blank at its ends.
func (s *Server) ran(name string) string {
	for i, one := range scripts {
		if one.name == name && i < len(s.Seen.Ran) {
			return strings.TrimSpace(s.Seen.Ran[i])
		}
	}
	return ""
}

// texts are the files, by path: grep puts the path and a colon before each line. Names of our
// units may have a colon themselves.
func (s *Server) texts() map[string]string {
	if s.read != nil {
		return s.read
	}
	s.read = map[string]string{}
	for line := range strings.Lines(s.ran("files")) {
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
		d := device{name: l.Name, kind: l.Info.Kind, alias: l.Alias}
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

// release is the kernel's version.
func (s *Server) release() (major, minor int) {
	parts := strings.FieldsFunc(s.Facts.Kernel, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return 0, 0
	}
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

// older says whether a version that begins with a number is before major.minor.
func older(text string, major, minor int) bool {
	first, second, _ := strings.Cut(text, ".")
	one, err := strconv.Atoi(first)
	second = second[:len(second)-len(strings.TrimLeft(second, "0123456789"))]
	two, _ := strconv.Atoi(second)
	return err == nil && cmp.Or(cmp.Compare(one, major), cmp.Compare(two, minor)) < 0
}

// own are the addresses of a server's devices.
func (s *Server) own() []netip.Addr {
	var out []netip.Addr
	for _, d := range s.devices() {
		for _, p := range d.addrs {
			out = append(out, p.Addr())
		}
	}
	return out
}

// underlay is where networks reach the server by default.
func (s *Server) underlay() (device string, at netip.Addr) {
	device, at, _, _ = ground.DefaultUnderlay(s.Name, s.Entry)
	return device, at
}

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// kinds are devices that networks here need and that the kernel does not make.
func kinds(s *Server, _ *Facts) []Finding {
	if s.Seen.Untried != "" {
		return []Finding{{
			What: "kinds of devices could not be tried: " + s.Seen.Untried,
			Why:  "whether the kernel makes what networks need is not known before they are built",
			Fix:  "unshare --net true && dmesg | tail",
		}}
	}
	var out []Finding
	for _, kind := range s.Seen.Lacks {
		links := s.wanted(kind)
		if len(links) == 0 {
			continue
		}
		f := Finding{
			Object: kind, What: "the kernel makes no " + kind + " device",
			Why: fmt.Sprintf("network %s needs one", links[0].Network),
			Fix: "modprobe -v " + module(kind),
		}
		if kind == spec.WireGuard && s.Facts.WireGuard == spec.UserspaceDevice {
			f.Why = fmt.Sprintf("a process carries the packets of %s instead, at a fraction of the speed", links[0].Network)
		}
		switch file := s.forbids(module(kind)); {
		case s.ran("modules") != "":
			f.What += ", and the modules of the running kernel are gone from the disk"
			f.Fix = "reboot"
		case file != "":
			f.What += ": " + file + " forbids its module"
			f.Fix = fmt.Sprintf("sed -i 's/^[^#]*[[:space:]]%s\\([[:space:]]\\|$\\)/# &/' %s && modprobe %s", module(kind), file, module(kind))
		case strings.Contains(s.system(), "ubuntu"):
			f.Fix = "apt-get install -y linux-modules-extra-$(uname -r)"
		}
		out = append(out, f)
	}
	return out
}

// module is the kernel's module for a kind of device.
func module(kind string) string {
	switch kind {
	case spec.GRE:
		return "ip_gre"
	case spec.IP6GRE:
		return "ip6_gre"
	}
	return kind
}

// forbids is the file that keeps a module from being loaded (modprobe.d(5)); "" if there is none.
func (s *Server) forbids(module string) string {
	for _, path := range s.matching("/etc/modprobe.d/*.conf") {
		for line := range strings.Lines(s.text(path)) {
			w := strings.Fields(line)
			if len(w) >= 2 && w[1] == module && (w[0] == "blacklist" || w[0] == "install" && len(w) > 2 && (strings.HasSuffix(w[2], "/false") || strings.HasSuffix(w[2], "/true"))) {
				return path
			}
		}
	}
	return ""
}

// Settings of the kernel, as files, and forwarding as a path below /proc/sys.
const (
	forwardingKey  = "net/ipv4/ip_forward"
	forwardingFile = "/proc/sys/" + forwardingKey
	neighboursMost = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
	watchesMost    = "/proc/sys/fs/inotify/max_user_instances"
)

// set is a shell's line that sets something now and at every boot: by a file for it alone, whose
// name comes after those of others.
func set(key, value string) string {
	return hint.Shell("sysctl", "-w", key+"="+value) + " && mkdir -p /etc/sysctl.d && " + setAtBoot(key, value)
}

// setAtBoot is a shell's line that sets something at every boot.
func setAtBoot(key, value string) string {
	return hint.Shell("echo", key+" = "+value) + " >" + hint.Shell("/etc/sysctl.d/zz-flock-"+strings.ReplaceAll(key, "/", ".")+".conf")
}

// forwards says whether networks need IPv4 forwarding.
func (s *Server) forwards() bool {
	return slices.ContainsFunc(s.Want.Sysctls, func(c spec.Sysctl) bool { return c.Key == forwardingKey && c.Value == "1" })
}

// forwarding is IPv4 forwarding that is off.
func forwarding(s *Server, _ *Facts) []Finding {
	if !s.forwards() || s.text(forwardingFile) != "0" {
		return nil
	}
	return []Finding{{
		What: "net.ipv4.ip_forward is 0, and networks here need it",
		Why:  "containers reach neither other subnets nor the outside",
		Fix:  "sysctl -w net.ipv4.ip_forward=1", Safe: true,
	}}
}

// forwardingAtBoot is a file that has the last word on forwarding, and says no.
func forwardingAtBoot(s *Server, _ *Facts) []Finding {
	var out []Finding
	for _, b := range s.Seen.Boot {
		if b.Key != forwardingKey || b.Value != "0" || !s.forwards() {
			continue
		}
		one := Finding{
			What: b.Path + " sets net.ipv4.ip_forward to 0",
			Why:  "whoever reads the settings again (sysctl --system, an upgrade) cuts containers off",
			Fix:  `sed -i 's,^[[:space:]-]*net[./]ipv4[./]\(ip_forward\|conf[./]all[./]forwarding\)[[:space:]]*=[[:space:]]*0,# &,' ` + hint.Shell(b.Path),
		}
		if !strings.HasPrefix(b.Path, "/etc/") { // a package's: the next upgrade would bring it back
			one.Fix = "mkdir -p /etc/sysctl.d && " + setAtBoot("net.ipv4.ip_forward", "1")
		}
		out = append(out, one)
	}
	return out
}

// reversePath are devices that drop what comes by another way than it would go back, where
// networks of ours have such ways: routes by BGP, and members that are reached by another device
// than their packets come from.
func reversePath(s *Server, _ *Facts) []Finding {
	const conf = "/proc/sys/net/ipv4/conf/"
	var out []Finding
	for dev, why := range s.asymmetric() {
		if max(s.number(conf+"all/rp_filter"), s.number(conf+dev+"/rp_filter")) != 1 {
			continue
		}
		out = append(out, Finding{
			Object: dev, What: "rp_filter of " + dev + " is strict", Why: why,
			Fix: set("net.ipv4.conf."+strings.ReplaceAll(dev, ".", "/")+".rp_filter", "2"),
		})
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.What, b.What) })
	return out
}

// asymmetric are devices by which packets may come and others leave, with the reason.
func (s *Server) asymmetric() map[string]string {
	out := map[string]string{}
	if devs := s.routers(); len(devs) > 1 {
		for _, dev := range devs {
			out[dev] = "BGP learns routes by " + few(devs) + ": packets that come by another of them than the best route to their sender are dropped"
		}
	}
	for _, i := range s.Facts.Interfaces {
		for _, l := range s.Want.Links {
			if l.Tunnel == nil || i.Name == s.Facts.Default4 || !slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == l.Tunnel.Local }) {
				continue
			}
			for _, to := range s.remotes(l) {
				if to.Is4() && s.byDefault(i, to) {
					out[i.Name] = fmt.Sprintf("packets of %s come in by it, and leave to %s by %s: they are dropped", l.Network, to, s.Facts.Default4)
				}
			}
		}
	}
	return out
}

// routers are the devices by which IPv4 neighbours of BGP are reached, each once, sorted.
func (s *Server) routers() []string {
	var out []string
	if s.Want.BGP == nil {
		return nil
	}
	for _, n := range s.Want.BGP.Neighbors {
		in := func(p netip.Prefix) bool { return p.Masked().Contains(n.Addr) }
		i := slices.IndexFunc(s.Facts.Interfaces, func(i spec.Interface) bool { return slices.ContainsFunc(slices.Concat(i.Addrs, i.Direct), in) })
		if n.Addr.Is4() && i >= 0 && !slices.Contains(out, s.Facts.Interfaces[i].Name) {
			out = append(out, s.Facts.Interfaces[i].Name)
		}
	}
	slices.Sort(out)
	return out
}

// remotes are the other ends of a link's tunnels.
func (s *Server) remotes(l spec.Link) []netip.Addr {
	var out []netip.Addr
	for _, f := range s.Want.FDB {
		if f.Link == l.Name {
			out = append(out, f.Dst)
		}
	}
	if l.Tunnel.Remote.IsValid() {
		out = append(out, l.Tunnel.Remote)
	}
	return out
}

// byDefault says whether packets to an address leave by the default route, though they belong to i.
func (s *Server) byDefault(i spec.Interface, to netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Masked().Contains(to) }
	return s.Facts.Default4 != "" && !slices.ContainsFunc(i.Addrs, in) && !slices.ContainsFunc(i.Direct, in) && !slices.ContainsFunc(s.Facts.Routed, in)
}

// neighbours is a table of them that runs full. Entries that are permanent, as flock's own, take no
// room in it (linux neighbour.c, neigh_alloc).
func neighbours(s *Server, f *Facts) []Finding {
	most, have, will := s.number(neighboursMost), s.entries()-strings.Count(s.ran("fixed"), "PERMANENT"), s.members(f)
	if most <= 0 || 4*max(have, will) <= 3*most {
		return nil
	}
	next := 4096
	for next < 4*max(have, will) {
		next *= 2
	}
	return []Finding{{
		What: fmt.Sprintf("the neighbour table takes %d entries, %d are used, networks here have %d other members", most, have, will),
		Why:  "when it is full, new addresses are not found (neighbour: arp_cache: neighbor table overflow!)",
		Fix:  set("net.ipv4.neigh.default.gc_thresh3", strconv.Itoa(next)), Safe: true,
	}}
}

// inotify is how many instances of it there may be, where most are used.
func inotify(s *Server, _ *Facts) []Finding {
	most := s.number(watchesMost)
	have, err := strconv.Atoi(s.ran("inotify"))
	if err != nil || most <= 0 || 4*have <= 3*most {
		return nil
	}
	return []Finding{{
		What: fmt.Sprintf("%d of %d inotify instances of root are used", have, most),
		Why:  "the processes of wireguard in user space, and those that await containers, cannot start without one",
		Fix:  set("fs.inotify.max_user_instances", strconv.Itoa(max(1024, 4*most))), Safe: true,
	}}
}

// entries is how many the table of neighbours has, of all devices (linux neighbour.c, neigh_stat_seq_show).
func (s *Server) entries() int {
	_, rows, _ := strings.Cut(s.text("/proc/net/stat/arp_cache"), "\n")
	first, _, _ := strings.Cut(strings.TrimSpace(rows), " ")
	n, err := strconv.ParseInt(first, 16, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// members is how many others are in the networks of a server.
func (s *Server) members(f *Facts) int {
	n := 0
	for _, network := range f.Cluster.Networks {
		if network.Allocated[s.Name] != nil {
			n += len(network.Allocated) - 1
		}
	}
	return max(0, n-len(s.Want.Neighs)) // those are permanent
}

// clockMost is by how much a clock may be wrong: logs are compared by hand, and WireGuard refuses
// handshakes that are older than what it has seen.
const clockMost = 2 * time.Second

func clock(s *Server, _ *Facts) []Finding {
	d := s.Skew.Round(time.Second)
	if d.Abs() <= clockMost {
		return nil
	}
	word := "ahead of"
	if d < 0 {
		word = "behind"
	}
	return []Finding{{
		What: fmt.Sprintf("its clock is %v %s the workstation's", d.Abs(), word),
		Why:  "logs cannot be compared, and after a correction WireGuard refuses handshakes until the old time is reached",
		Fix:  "timedatectl set-ntp true",
	}}
}

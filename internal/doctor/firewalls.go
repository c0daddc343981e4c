package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Firewalls that people have, where they are active: what they let in is judged by the rules that
// they say they have. Where a rule may let packets in, for some senders or by a name, nothing is
// found.

// ufw lets in what it is told to, and nothing else, unless its policy is another one.
func ufw(s *Server, f *Facts) []Finding {
	out := deafUFW(s, f)
	for _, d := range s.Want.DHCPs {
		if s.ufwRules() && !s.ufwAllows(ear{proto: udp, port: 67, dev: d.Bridge, at: netip.IPv4Unspecified()}) {
			out = append(out, Finding{
				Object: d.Bridge, What: "ufw is active and lets nothing in from " + d.Bridge,
				Why: "containers of " + d.Network + " get neither addresses nor names",
				Fix: fmt.Sprintf("ufw allow in on %s to any port 67 proto udp && ufw allow in on %s to any port 53", d.Bridge, d.Bridge),
			})
		}
	}
	return out
}

// deafUFW is where ufw lets no packets of a tunnel in.
func deafUFW(s *Server, _ *Facts) []Finding {
	var out []Finding
	for _, e := range s.ears() {
		if s.ufwRules() && !s.ufwAllows(e) {
			out = append(out, Finding{Object: e.object(), What: fmt.Sprintf("ufw is active and does not let %s in", e), Why: e.why(), Fix: e.ufwFix()})
		}
	}
	return out
}

// ufwRules says whether ufw is active, and drops what no rule lets in.
func (s *Server) ufwRules() bool {
	own := slices.ContainsFunc(s.Seen.Chains, func(c spec.Chain) bool { return s.whose(c) == "ufw" })
	return own && strings.Contains(s.text("/etc/ufw/ufw.conf"), "ENABLED=yes") && !s.open()
}

// ufwFix has ufw let it in. ufw itself knows nothing of IP in IP: that is written into its files.
func (e ear) ufwFix() string {
	switch e.proto {
	case udp:
		return "ufw allow " + e.object() + "/udp"
	case gre:
		return "ufw allow proto gre from any"
	}
	return fmt.Sprintf(`sed -i "/^# don.t delete the .COMMIT/i -A ufw-before-input -p %d -j ACCEPT" /etc/ufw/before.rules && ufw reload`, e.proto)
}

// open says whether ufw lets in whatever no rule refuses.
func (s *Server) open() bool {
	for line := range strings.Lines(s.text("/etc/default/ufw")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "DEFAULT_INPUT_POLICY="); ok && strings.Trim(value, `"'`) == "ACCEPT" {
			return true
		}
	}
	return false
}

// ufwAllows says whether a rule of ufw may let packets to e in. A rule of ufw is
// "### tuple ### allow udp 4789 0.0.0.0/0 any 10.0.0.0/8 in_eth0": what, the protocol, port and
// address of the destination, those of the source, and the way; people write others into
// before.rules.
func (s *Server) ufwAllows(e ear) bool {
	for line := range strings.Lines(s.ran("ufw")) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(line), "### tuple ### ")
		words := strings.Fields(rule)
		if !ok {
			if ruleAdmits(strings.Fields(line), e) {
				return true
			}
			continue
		}
		if len(words) < 7 || !strings.HasPrefix(words[0], "allow") && !strings.HasPrefix(words[0], "limit") || !e.is(words[1]) ||
			e.at.IsValid() && strings.Contains(words[3], ":") != e.at.Is6() || !holdsPort(words[2], e.port) {
			continue
		}
		in := slices.ContainsFunc(words[6:], func(w string) bool {
			by, bound := strings.CutPrefix(w, "in_")
			return w == "in" || bound && (e.dev == "" || by == e.dev)
		})
		if in {
			return true
		}
	}
	return false
}

// ruleAdmits says whether a rule of iptables(8) that accepts may let packets to e in: by the
// protocol, the port, the device or the sender that it names. One that names none of them is for
// connections that are there.
func ruleAdmits(rule []string, e ear) bool {
	value := func(options ...string) string {
		i := slices.IndexFunc(rule, func(w string) bool { return slices.Contains(options, w) })
		if i < 0 || i+1 >= len(rule) {
			return ""
		}
		return rule[i+1]
	}
	proto := value("-p")
	if proto != "" && !e.is(proto) {
		return false
	}
	if to := value("--dport", "--dports"); to != "" {
		return holdsPort(to, e.port)
	}
	if by := value("-i"); by != "" {
		return by == e.dev || e.dev == "" && by != "lo"
	}
	return value("-s") != "" || proto != "" && e.proto != udp
}

// holdsPort says whether a port is among those that a rule names: "any", "53,4780:4790".
func holdsPort(list string, port int) bool {
	for one := range strings.SplitSeq(list, ",") {
		first, last, more := strings.Cut(strings.ReplaceAll(one, "-", ":"), ":")
		if !more {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if one == "any" || err == nil && err2 == nil && from <= port && port <= to {
			return true
		}
	}
	return false
}

// zone is one of firewalld's.
type zone struct {
	name                                    string
	accepts                                 bool // its target is to accept
	devices, sources, ports, services, rich []string
	protocols                               []string
}

// zones are those of firewalld, the default one first; none where it is not active.
func (s *Server) zones() []zone {
	first, rest, _ := strings.Cut(s.ran("firewalld"), "\n")
	var out []zone
	key := ""
	for line := range strings.Lines(rest) {
		text := strings.TrimSpace(line)
		if line[0] != ' ' && line[0] != '\t' {
			if name, _, _ := strings.Cut(text, " "); name != "" {
				out = append(out, zone{name: name})
			}
			continue
		}
		if len(out) == 0 {
			continue
		}
		value := text
		if name, after, ok := strings.Cut(text, ":"); ok && !strings.HasPrefix(text, "rule ") {
			key, value = name, after
		}
		z := &out[len(out)-1]
		switch words := strings.Fields(value); key {
		case "target":
			z.accepts = strings.TrimSpace(value) == "ACCEPT"
		case "interfaces":
			z.devices = words
		case "sources":
			z.sources = words
		case "ports":
			z.ports = words
		case "protocols":
			z.protocols = words
		case "services":
			z.services = words
		case "rich rules":
			z.rich = append(z.rich, words...)
		}
	}
	if i := slices.IndexFunc(out, func(z zone) bool { return z.name == first }); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out
}

// lets says whether firewalld lets packets pass that are of a device, or of a prefix.
func (s *Server) lets(way string) bool {
	return slices.ContainsFunc(s.zones(), func(z zone) bool {
		return z.accepts && (slices.Contains(z.devices, way) || slices.Contains(z.sources, way))
	})
}

// known are services of firewalld that have no port that a tunnel could have.
var known = []string{"ssh", "dhcpv6-client", "cockpit", "mdns", "samba-client", "http", "https", "dns", "dhcp", "ntp", "ipp-client"}

// admits says whether a zone may let packets to e in.
func (z zone) admits(e ear) bool {
	return z.accepts || len(z.rich) > 0 || slices.ContainsFunc(z.services, func(name string) bool { return !slices.Contains(known, name) }) ||
		slices.ContainsFunc(z.protocols, e.is) ||
		slices.ContainsFunc(z.ports, func(p string) bool {
			list, proto, _ := strings.Cut(p, "/")
			return e.proto == udp && proto == "udp" && holdsPort(list, e.port)
		})
}

// firewalld lets in what the zone of a device lets in, or that of a sender.
func firewalld(s *Server, f *Facts) []Finding {
	out, zones := deafFirewalld(s, f), s.zones()
	for _, d := range s.Want.DHCPs {
		if len(zones) == 0 {
			break
		}
		if in := zoneOf(zones, d.Bridge); !in.serves() {
			out = append(out, Finding{
				Object: d.Bridge, What: "firewalld is active and does not let DHCP and DNS in from " + d.Bridge + " (zone " + in.name + ")",
				Why: "containers of " + d.Network + " get neither addresses nor names",
				Fix: "firewall-cmd --permanent --zone=trusted --change-interface=" + d.Bridge + " && firewall-cmd --zone=trusted --change-interface=" + d.Bridge,
			})
		}
	}
	return out
}

// deafFirewalld is where firewalld lets no packets of a tunnel in.
func deafFirewalld(s *Server, _ *Facts) []Finding {
	var out []Finding
	zones := s.zones()
	if len(zones) == 0 {
		return nil
	}
	for _, e := range s.ears() {
		dev := e.dev
		if dev == "" {
			dev, _ = s.underlay()
		}
		in := zoneOf(zones, dev)
		if in.admits(e) || slices.ContainsFunc(zones, func(z zone) bool { return len(z.sources) > 0 && z.admits(e) }) {
			continue
		}
		open := "firewall-cmd --zone=" + in.name + " --add-port=" + e.object() + "/udp"
		if e.proto != udp {
			open = "firewall-cmd --zone=" + in.name + " --add-protocol=" + protocols[e.proto][1]
		}
		out = append(out, Finding{
			Object: e.object(), What: fmt.Sprintf("firewalld is active and does not let %s in", e), Why: e.why(),
			Fix: strings.Replace(open, " ", " --permanent ", 1) + " && " + open,
		})
	}
	return out
}

// zoneOf is the zone of a device: the default one, which is the first, if none has it.
func zoneOf(zones []zone, dev string) zone {
	if i := slices.IndexFunc(zones, func(z zone) bool { return slices.Contains(z.devices, dev) }); i >= 0 {
		return zones[i]
	}
	return zones[0]
}

// serves says whether a zone may let containers ask for addresses and names.
func (z zone) serves() bool {
	lets := func(service string, port int) bool {
		return slices.Contains(z.services, service) || slices.ContainsFunc(z.ports, func(p string) bool {
			list, proto, _ := strings.Cut(p, "/")
			return proto == "udp" && holdsPort(list, port)
		})
	}
	return z.accepts || len(z.rich) > 0 || lets("dhcp", 67) && lets("dns", 53)
}

package underlay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What kinds of networks need by default (UDP ports).
const (
	VXLANPort     = 4789
	FlannelPort   = 8472 // VXLAN of pool networks
	ProxyPort     = 8285 // of udp networks
	WireGuardPort = 51820
)

// Ports are those that are tried unless others are named.
func Ports() []int { return []int{VXLANPort, FlannelPort, WireGuardPort, ProxyPort} }

// Advice is a kind of network that works between all servers, with the commands that make it.
type Advice struct {
	For      string // what containers get
	Kind     string
	Why      string
	Commands []string
}

// tunnels are kinds of devices that packets may be in already, as netlink's library names them.
var tunnels = []string{"wireguard", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ipip", "ip6gretap", "sit", "ip6tnl", "tuntap", "vti", "vti6", "xfrm"}

// Nested are the paths that leave by a tunnel: a network on them is a tunnel in a tunnel.
func Nested(paths []Path) []Path {
	return slices.DeleteFunc(slices.Clone(paths), func(p Path) bool { return !slices.Contains(tunnels, p.Route.Kind) })
}

// Recommend is what works between all servers, the best first: with layer 2 for containers, and
// with a subnet for each server. None: not even two of them reach each other as any kind needs.
func Recommend(servers []Server, paths []Path) []Advice {
	s := sight{servers: servers, paths: paths}
	tried := 0
	for _, one := range servers {
		tried += s.tried(one)
	}
	if len(paths) == 0 || len(paths) < tried {
		return nil // or some did not answer to the end
	}
	if s.apart() {
		return s.encrypted()
	}
	var out []Advice
	if a, ok := s.layer2(); ok {
		out = append(out, a)
	}
	if a, ok := s.layer3(); ok {
		out = append(out, a)
	}
	if len(out) == 0 {
		return s.encrypted()
	}
	return out
}

// sight is what is known of all servers together.
type sight struct {
	servers []Server
	paths   []Path
}

// tried is with how many others a server is to be tried: of many not with all.
func (s sight) tried(one Server) int {
	n := 0
	for _, other := range s.servers {
		if other.Name != one.Name && (other.With == nil || other.With[one.Name]) {
			n++
		}
	}
	return n
}

// between says which pairs of servers something is known of.
func (s sight) between() string {
	if len(s.paths) < len(s.servers)*(len(s.servers)-1) {
		return "all that were tried"
	}
	return "all"
}

func (s sight) all(ok func(Path) bool) bool {
	return !slices.ContainsFunc(s.paths, func(p Path) bool { return !ok(p) })
}

func (s sight) pass(service Service) bool {
	return s.all(func(p Path) bool { return p.Services[service] == Passes })
}

// apart says whether packets cross what anybody can read: addresses of the Internet, or NAT.
func (s sight) apart() bool {
	return slices.ContainsFunc(s.servers, func(one Server) bool {
		a := one.Addr
		return one.NAT || a.IsGlobalUnicast() && !a.IsPrivate() && !shared(a.As16()) && !a.IsLinkLocalUnicast()
	}) || slices.ContainsFunc(s.paths, Path.Translated)
}

// shared says whether an address is of 100.64.0.0/10, between customers and their provider
// (RFC 6598).
func shared(a [16]byte) bool {
	return a[10] == 0xff && a[11] == 0xff && a[12] == 100 && a[13]&0xc0 == 64
}

// segment says whether no router is between any two.
func (s sight) segment() bool { return s.all(func(p Path) bool { return p.Hops == 0 }) }

func (s sight) members() string {
	var names []string
	for _, one := range s.servers {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

// mtu is the option for a path that is narrower than its device; "" if none is.
func (s sight) mtu(over int) string {
	narrow := 0
	for _, p := range s.paths {
		if n := p.Echoed.Passes; n > 0 && n < p.Echoed.Echo.MTU && (narrow == 0 || n < narrow) {
			narrow = n
		}
	}
	if narrow == 0 {
		return ""
	}
	return fmt.Sprintf(" --mtu %d", narrow-over)
}

// outer is how much larger an outer IPv6 header is than one of IPv4, in bytes.
func (s sight) outer() int {
	if s.servers[0].Addr.Is6() {
		return 20
	}
	return 0
}

func (s sight) lines(kind, options string) []string {
	return []string{"flock createnetwork NAME " + kind + options, "flock addnetwork NAME " + s.members()}
}

// port is the UDP port that a kind uses by default, or else one that was asked for and passes;
// with the option for it. Zero: none passes.
func (s sight) port(byDefault int) (port int, option string) {
	if s.pass(Service{Protocol: UDP, Port: byDefault}) {
		return byDefault, ""
	}
	var others []int
	for service := range s.paths[0].Services {
		if service.Protocol == UDP && !service.Group.IsValid() && !slices.Contains(Ports(), service.Port) && s.pass(service) {
			others = append(others, service.Port)
		}
	}
	if len(others) == 0 {
		return 0, ""
	}
	port = slices.Min(others)
	return port, fmt.Sprintf(" -p %d", port)
}

// layer2 is VXLAN by its own port, or by another one that passes.
func (s sight) layer2() (Advice, bool) {
	port, option := s.port(VXLANPort)
	if port == 0 && s.pass(Service{Protocol: UDP, Port: FlannelPort}) {
		port, option = FlannelPort, fmt.Sprintf(" -p %d", FlannelPort)
	}
	if port == 0 {
		return Advice{}, false
	}
	why := fmt.Sprintf("UDP %d passes between %s", port, s.between())
	if port != VXLANPort {
		why += fmt.Sprintf(", UDP %d does not", VXLANPort)
	}
	return Advice{"one layer 2 segment", "vxlan", why, s.lines("vxlan", option+s.mtu(50+s.outer()))}, true
}

// layer3 is plain routes on one segment, or the encapsulation that passes.
func (s sight) layer3() (Advice, bool) {
	const what = "a subnet per server"
	flannel, other := s.port(FlannelPort)
	proxy, another := s.port(ProxyPort)
	heard := s.all(func(p Path) bool { return p.Hops >= 0 })
	switch {
	case heard && s.segment() && len(Nested(s.paths)) == 0:
		return Advice{what, "host-gw", "no router is between them: plain routes do", s.lines("host-gw", s.mtu(0))}, true
	case flannel != 0:
		return Advice{what, "vxlan-l3", fmt.Sprintf("routers are between them, UDP %d passes", flannel), s.lines("vxlan-l3", other+s.mtu(50+s.outer()))}, true
	case s.outer() == 0 && s.pass(Service{Protocol: IPIP}):
		return Advice{what, "ipip", "routers are between them, IP in IP (protocol 4) passes", s.lines("ipip", s.mtu(20))}, true
	case proxy != 0:
		return Advice{what, "udp", fmt.Sprintf("of all that was tried only UDP %d passes", proxy), s.lines("udp", another+s.mtu(28+s.outer()))}, true
	}
	return Advice{}, false
}

// encrypted is WireGuard, or layer 2 inside of it. Servers that nobody reaches begin all their
// sessions themselves; with a hub all traffic goes by the one that all reach.
func (s sight) encrypted() []Advice {
	wireguard := Service{Protocol: UDP, Port: WireGuardPort}
	passes, to := map[[2]string]bool{}, map[string]int{} // from how many others a server is reached
	for _, p := range s.paths {
		if p.Services[wireguard] == Passes {
			passes[[2]string{p.From, p.To}] = true
			to[p.To]++
		}
	}
	behind := func(one Server) bool {
		return one.NAT || to[one.Name] == 0 || slices.ContainsFunc(s.paths, func(p Path) bool { return p.From == one.Name && p.Translated() })
	}
	inFront := slices.DeleteFunc(slices.Clone(s.servers), behind)
	if len(inFront) == 0 {
		return nil
	}
	first := slices.MaxFunc(inFront, func(a, b Server) int {
		return cmp.Or(cmp.Compare(to[a.Name]-s.tried(a), to[b.Name]-s.tried(b)), cmp.Compare(to[a.Name], to[b.Name]))
	})
	lead := first.Name
	if to[lead] < s.tried(first) {
		return nil
	}
	hub := s.pair(func(a, b Server) bool {
		return (!behind(a) || !behind(b)) && !passes[[2]string{a.Name, b.Name}] && !passes[[2]string{b.Name, a.Name}]
	})
	var before, clients []string
	for _, one := range s.servers {
		if one.Name != lead {
			clients = append(clients, one.Name)
		}
		if behind(one) && !one.NAT {
			before = append(before, "flock setserver "+one.Name+" --nat")
		}
	}
	options, why := "", "packets cross NAT, or what others can read"
	if !s.apart() {
		why = fmt.Sprintf("of all that was tried only UDP %d passes", WireGuardPort)
	}
	if hub {
		options, why = " --topology hub", why+"; all reach "+lead
	}
	rest := strings.Join(clients, " ")
	return []Advice{
		{"encrypted, a subnet per server", "wireguard", why, append(slices.Clone(before),
			"flock createnetwork NAME wireguard"+options+s.mtu(60+s.outer()),
			"flock addnetwork NAME server "+lead, "flock addnetwork NAME client "+rest)},
		{"encrypted, one layer 2 segment", "l2", why, append(slices.Clone(before),
			"flock createnetwork NAME l2"+options+s.mtu(130+s.outer()), "flock addnetwork NAME "+lead+" "+rest)},
	}
}

// pair says whether any two servers that were tried are so.
func (s sight) pair(so func(a, b Server) bool) bool {
	for i, a := range s.servers {
		if slices.ContainsFunc(s.servers[i+1:], func(b Server) bool { return a.tries(b) && so(a, b) }) {
			return true
		}
	}
	return false
}

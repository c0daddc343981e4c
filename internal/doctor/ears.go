package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// IP's numbers of what tunnels are made of (IANA).
const (
	ipip = 4
	udp  = 17
	gre  = 47
)

// protocols are their names in ufw's rules, firewalld's zones and /etc/protocols, ours first.
var protocols = map[int][]string{ipip: {"IPIP", "ipencap", "ipv4", "4"}, udp: {"udp", "17"}, gre: {"GRE", "gre", "47"}}

// ear is what a tunnel listens on, and how packets come to it.
type ear struct {
	proto   int // of IP
	port    int // of UDP; 0 for the others
	network string
	dev     string     // by which they come; "": it cannot be told
	at      netip.Addr // the address they come to; invalid: it cannot be told
}

// object is the ear in a word: the port, or the protocol.
func (e ear) object() string {
	if e.proto == udp {
		return strconv.Itoa(e.port)
	}
	return protocols[e.proto][0]
}

func (e ear) String() string {
	if e.proto == udp {
		return "UDP port " + e.object()
	}
	return fmt.Sprintf("%s (protocol %d)", e.object(), e.proto)
}

// is says whether a word of a firewall's means the protocol, or any.
func (e ear) is(word string) bool {
	return word == "any" || word == "all" || slices.Contains(protocols[e.proto], word)
}

// rule is a match of nft for it.
func (e ear) rule() string {
	if e.proto == udp {
		return "udp dport " + e.object()
	}
	return fmt.Sprintf("meta l4proto %d", e.proto)
}

// why is what comes of it where it is shut.
func (e ear) why() string {
	return fmt.Sprintf("packets of %s from other members are dropped", e.network)
}

// ears are those of tunnels here, sorted, each once.
func (s *Server) ears() []ear {
	var out []ear
	for _, l := range s.Want.Links {
		e := ear{proto: udp, port: int(l.Port), network: l.Network}
		switch l.Kind {
		case spec.GRE, spec.IP6GRE:
			e.proto = gre
		case spec.IPIP:
			e.proto = ipip
		}
		if l.Tunnel != nil {
			if e.port == 0 {
				e.port = int(l.Tunnel.Port)
			}
			e.at = l.Tunnel.Local
			for _, i := range s.Facts.Interfaces {
				if slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == l.Tunnel.Local }) {
					e.dev = i.Name
				}
			}
		}
		same := func(o ear) bool { return o.proto == e.proto && o.port == e.port }
		if (e.port != 0 || e.proto != udp) && !slices.ContainsFunc(out, same) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b ear) int { return cmp.Compare(a.port, b.port) })
	return out
}

// Meets says whether a server is to have a tunnel, whose packets firewalls must let in, that it has not yet.
func Meets(want *spec.Host, plan *spec.Plan) bool {
	return slices.ContainsFunc(want.Links, func(l spec.Link) bool {
		s := &Server{Want: &spec.Host{Links: []spec.Link{l}}, Facts: &spec.Facts{}}
		return len(s.ears()) > 0 && slices.ContainsFunc(plan.Steps, func(s spec.Step) bool { return s.Action == spec.Add && s.Object == "link "+l.Name })
	})
}

// shut are the checks of what lets no tunnel's packets in, and the scripts that they go by.
var shut = struct {
	checks  []func(*Server, *Facts) []Finding
	scripts []string
}{
	[]func(*Server, *Facts) []Finding{deafChains, deafUFW, deafFirewalld},
	[]string{"files", "ufw", "devices", "firewalld"},
}

// ShutRequest is Request for what Shut goes by.
func ShutRequest() *spec.DoctorRequest {
	r := Request()
	r.Kinds, r.Boot = nil, nil
	for i, script := range scripts {
		if !slices.Contains(shut.scripts, script.name) {
			r.Run[i] = ""
		}
	}
	return r
}

// Shut finds what on a server does not let packets of its tunnels in, by what it answered to
// ShutRequest, and by its rules, about which ask puts questions to its kernel. The other facts are the
// cluster file's.
func Shut(f *Facts, name string, want *spec.Host, seen *spec.DoctorReply, ask func([]string) ([]string, error)) []Finding {
	entry := f.Cluster.Servers[name]
	if entry == nil || entry.Facts == nil {
		return nil
	}
	s := &Server{Name: name, Entry: entry, Want: want, Seen: seen, Facts: &spec.Facts{}}
	for _, i := range entry.Facts.Interfaces {
		s.Facts.Interfaces = append(s.Facts.Interfaces, spec.Interface{Name: i.Name, Addrs: i.Addrs})
	}
	s.Rules, _ = Rules(entry.Facts.Arch, ask) // the others are judged without
	return s.shut(f)
}

func (s *Server) shut(f *Facts) []Finding {
	var out []Finding
	for _, check := range shut.checks {
		for _, one := range check(s, f) {
			one.Server = s.Name
			out = append(out, one)
		}
	}
	return out
}

// flow is a packet to the ear.
func (e ear) flow(from, to netip.Addr) kernel.Flow {
	return kernel.Flow{Src: from, Dst: to, Proto: e.proto, Port: e.port}
}

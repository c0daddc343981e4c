package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// mostAsked are the rounds of questions about rules, whatever a server answers.
const mostAsked = 50

// Rules are a server's packet filters as its kernel tells them. Ask puts questions to it
// (spec.TraceRequest), whose answers are as many.
func Rules(arch string, ask func([]string) ([]string, error)) (*kernel.Rules, error) {
	o := kernel.EndianOf(arch)
	answers, err := ask(kernel.RuleQuestions(o))
	if err != nil {
		return nil, err
	}
	r := kernel.Read(o, answers)
	for range mostAsked {
		sets, questions := r.Unread()
		if len(sets) == 0 {
			return r, nil
		}
		if answers, err = ask(questions); err != nil {
			return nil, err
		}
		for i, s := range sets {
			list, _ := kernel.Messages(answers[i])
			r.ReadSet(s, list)
		}
	}
	return r, nil
}

// incoming are chains that let nothing in on the port of a tunnel, or to DHCP and DNS on a bridge.
// What depends on what cannot be known is not called so. ufw and firewalld are judged by what they
// say of themselves.
func incoming(s *Server, f *Facts) []Finding {
	out := deafChains(s, f)
	for _, d := range s.Want.DHCPs {
		if c := s.mute(d); c != nil {
			out = append(out, Finding{
				Object: d.Bridge, What: fmt.Sprintf("chain %s lets nothing in from %s to DHCP or DNS", c, d.Bridge),
				Why: "containers of " + d.Network + " get no addresses, or no names; the line lasts until those rules are loaded again",
				Fix: insert(c, "iifname "+d.Bridge+" udp dport { 53, 67, 547 } accept") + " && " + insert(c, "iifname "+d.Bridge+" tcp dport 53 accept"),
			})
		}
	}
	return out
}

// deafChains are chains that let no packets of a tunnel in.
func deafChains(s *Server, f *Facts) []Finding {
	var out []Finding
	for _, e := range s.ears() {
		if c, from := s.deaf(f, e); c != nil {
			one := Finding{
				Object: e.object(), What: fmt.Sprintf("chain %s lets nothing in on %s from %s", c, e, from),
				Why: e.why() + "; the line lasts until those rules are loaded again",
				Fix: insert(c, e.rule()+" accept"),
			}
			if e.proto == udp {
				one.Object = "udp " + one.Object
			}
			out = append(out, one)
		}
	}
	return out
}

// insert is a line that puts a rule before all others of a chain.
func insert(c *kernel.Chain, rule string) string {
	return "nft 'insert rule " + c.String() + " " + rule + "'"
}

// deaf is the chain that drops packets to the port of a tunnel from another member; nil: none does.
func (s *Server) deaf(f *Facts, e ear) (*kernel.Chain, string) {
	dev, at := s.underlay()
	if e.dev != "" {
		dev = e.dev
	}
	if e.at.IsValid() {
		at = e.at
	}
	n := f.Cluster.Networks[e.network]
	if n == nil {
		return nil, ""
	}
	for _, m := range n.Members {
		server := ground.ServerOf(m)
		if server == s.Name || f.Cluster.Servers[server] == nil {
			continue
		}
		_, from := (&Server{Name: server, Entry: f.Cluster.Servers[server]}).underlay()
		if !from.IsValid() || from.Is4() != at.Is4() {
			continue
		}
		if c := s.drops(dev, e.flow(from, at)); c != nil {
			return c, server + " (" + from.String() + ")"
		}
	}
	return nil, ""
}

// mute is the chain that drops what containers ask of DHCP or DNS; nil: none does.
func (s *Server) mute(d spec.DHCP) *kernel.Chain {
	for _, r := range d.Ranges {
		if !r.Subnet.Addr().Is4() {
			continue
		}
		everybody := netip.AddrFrom4([4]byte{255, 255, 255, 255})
		if c := s.drops(d.Bridge, kernel.Flow{Src: netip.IPv4Unspecified(), Dst: everybody, Proto: udp, Port: 67}); c != nil {
			return c
		}
		i := slices.IndexFunc(d.DNS, netip.Addr.Is4)
		if i < 0 || !s.has(d.DNS[i]) { // another server has it
			continue
		}
		if c := s.drops(d.Bridge, kernel.Flow{Src: r.First, Dst: d.DNS[i], Proto: udp, Port: 53}); c != nil {
			return c
		}
	}
	return nil
}

// drops is the chain of somebody else that drops a packet to the server itself for sure; nil: none
// does, or the device is not known.
func (s *Server) drops(dev string, flow kernel.Flow) *kernel.Chain {
	i := slices.IndexFunc(s.devices(), func(d device) bool { return d.name == dev && d.index != 0 })
	if i < 0 || s.Rules == nil {
		return nil
	}
	flow.In = kernel.Device{Index: s.devices()[i].index, Name: dev}
	for _, hook := range []int{kernel.Prerouting, kernel.Input} {
		o := s.Rules.Pass(hook, flow)
		if !o.Drops || strings.HasPrefix(o.Chain.Table, "flock-") {
			continue
		}
		if who := s.whose(spec.Chain{Family: int(o.Chain.Family), Table: o.Chain.Table, Name: o.Chain.Name}); who != "ufw" && who != "firewalld" {
			return o.Chain
		}
	}
	return nil
}

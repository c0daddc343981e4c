package underlay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Finding is something that stands in the way, in words, and what to do about it.
type Finding struct {
	What string
	Next string // "": nothing that a command could do
}

// clockMost is by how much a clock may be wrong before it is worth a word: times in logs are
// compared by hand.
const clockMost = 2 * time.Second

func (s Service) String() string {
	switch {
	case s.Group.IsValid():
		return "multicast"
	case s.Protocol == UDP:
		return "udp " + strconv.Itoa(s.Port)
	case s.Protocol == IPIP:
		return "protocol 4 (IP in IP)"
	}
	return "protocol 47 (GRE)"
}

// Findings are what stands in the way of networks, services first.
func Findings(servers []Server, services []Service, paths []Path) []Finding {
	out := append(families(servers), dead(paths)...)
	paths = slices.DeleteFunc(slices.Clone(paths), Path.Dead)
	for _, s := range services {
		for _, o := range []Outcome{Refused, Filtered, Lost} {
			out = append(out, blocked(s, o, paths)...)
		}
	}
	for _, p := range paths {
		if e := p.Echoed; e.Heard == 0 {
			out = append(out, Finding{What: fmt.Sprintf("%s gets no ICMP echo back from %s", p.From, p.To)})
		} else if e.Passes > 0 && e.Passes < e.Echo.MTU {
			out = append(out, Finding{What: fmt.Sprintf("packets from %s to %s pass up to %d bytes, %s takes %d", p.From, p.To, e.Passes, p.From, e.Echo.MTU)})
		}
	}
	out = append(out, aboutServers(servers, paths)...)
	for _, p := range Nested(paths) {
		out = append(out, Finding{
			fmt.Sprintf("%s reaches %s by %s, a tunnel (%s): a network on it is a tunnel in a tunnel", p.From, p.To, p.Route.Device, p.Route.Kind),
			"flock setserver " + p.From + " --interface IFACE",
		})
	}
	return slices.CompactFunc(out, func(a, b Finding) bool { return a == b })
}

// families says which servers have no address of the family that the first of them has.
func families(servers []Server) []Finding {
	var others []string
	for _, s := range servers {
		if s.Addr.Is4() != servers[0].Addr.Is4() {
			others = append(others, s.Name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return []Finding{{
		fmt.Sprintf("nothing was tried between %s and %s: their addresses are of different families (%s)", servers[0].Name, Names(others), servers[0].Addr),
		"flock setserver " + others[0] + " --interface IFACE",
	}}
}

// dead says between whom nothing passes, a line per sender.
func dead(paths []Path) []Finding {
	to := map[string][]string{}
	var order []string
	for _, p := range paths {
		if !p.Dead() {
			continue
		}
		if to[p.From] == nil {
			order = append(order, p.From)
		}
		to[p.From] = append(to[p.From], p.To)
	}
	var out []Finding
	for _, from := range order {
		out = append(out, Finding{What: fmt.Sprintf("nothing that was tried arrives from %s at %s, and no echo comes back", from, Names(to[from]))})
	}
	return out
}

// blocked says where a service stops, a line per server that stops it, or per pair.
func blocked(s Service, o Outcome, paths []Path) []Finding {
	at := map[string][]string{} // the others, by the server that stops it, or that sends in vain
	var order []string
	for _, p := range paths {
		if p.Services[s] != o {
			continue
		}
		guilty, other := p.From, p.To
		if o == Filtered {
			guilty, other = p.To, p.From
		}
		if at[guilty] == nil {
			order = append(order, guilty)
		}
		at[guilty] = append(at[guilty], other)
	}
	var out []Finding
	for _, server := range order {
		others := Names(at[server])
		switch o {
		case Refused:
			out = append(out, Finding{fmt.Sprintf("%s to %s does not leave %s: a packet filter there refuses it", s, others, server), "on " + server + ": nft list ruleset"})
		case Filtered:
			out = append(out, Finding{fmt.Sprintf("%s from %s arrives at %s, and a packet filter there drops it", s, others, server), "on " + server + ": nft list ruleset"})
		default:
			out = append(out, Finding{What: fmt.Sprintf("%s from %s does not arrive at %s: something between them drops it", s, server, others)})
		}
	}
	return out
}

// Names are a few names in words.
func Names(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// aboutServers are findings about servers: NAT, ports in use, clocks, one address twice.
func aboutServers(servers []Server, paths []Path) []Finding {
	var out []Finding
	at := map[string]string{}
	for _, s := range servers {
		if other := at[s.Addr.String()]; other != "" {
			out = append(out, Finding{fmt.Sprintf("%s and %s have the same address, %s", other, s.Name, s.Addr), "flock setserver " + s.Name + " --interface IFACE"})
		}
		at[s.Addr.String()] = s.Name
		nat := Finding{Next: "flock setserver " + s.Name + " --nat"}
		if s.NAT {
			nat.Next = ""
		}
		seen := slices.IndexFunc(paths, func(p Path) bool { return p.From == s.Name && p.Translated() })
		switch {
		case seen >= 0:
			nat.What = fmt.Sprintf("%s is behind NAT: its packets come to %s from %s, not from %s", s.Name, paths[seen].To, paths[seen].Seen, s.Addr)
		case s.Hidden():
			nat.What, nat.Next = fmt.Sprintf("%s is reached at %s, which is not its own address: others may need it", s.Name, s.Login), "flock setserver "+s.Name+" --endpoint "+s.Login.String()
		}
		if nat.What != "" {
			out = append(out, nat)
		}
		if d := time.Duration(s.Skew).Round(time.Second); d.Abs() > clockMost {
			word := "ahead of"
			if d < 0 {
				word = "behind"
			}
			out = append(out, Finding{fmt.Sprintf("the clock of %s is %v %s this workstation's", s.Name, d.Abs(), word), "flock doctor " + s.Name})
		}
	}
	return append(out, inUse(servers)...)
}

// inUse says which UDP ports somebody has, a line per port and holder.
func inUse(servers []Server) []Finding {
	type holder struct {
		port int
		who  string
	}
	has := map[holder][]string{}
	var order []holder
	for _, s := range servers {
		for port, who := range s.Taken {
			h := holder{port, who}
			if has[h] == nil {
				order = append(order, h)
			}
			has[h] = append(has[h], s.Name)
		}
	}
	slices.SortFunc(order, func(a, b holder) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	var out []Finding
	for _, h := range order {
		who := h.who
		if who == "the kernel" {
			who = "a device of the kernel (VXLAN, WireGuard)"
		}
		out = append(out, Finding{What: fmt.Sprintf("UDP port %d of %s is used by %s", h.port, Names(has[h]), who)})
	}
	return out
}

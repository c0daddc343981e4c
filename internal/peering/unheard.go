package peering

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Answer is that of one server's BGP daemon.
type Answer struct {
	Server string
	Status *spec.BGPStatus // nil: no daemon answers there
	Err    error           // the server was not reached
}

// Outside is the session of a member of a BGP network with a speaker outside of the
// network.
type Outside struct {
	Server string
	Addr   netip.Addr
}

// Down says whether notes about what was awaited name the session.
func (o Outside) Down(notes []ground.Note) bool {
	return slices.ContainsFunc(notes, func(n ground.Note) bool { return strings.HasPrefix(n.Text, o.head()) })
}

func (o Outside) head() string { return fmt.Sprintf("%s: the session with %s is ", o.Server, o.Addr) }

// Unheard describes what is missing until the members of a BGP network that answer have
// all their sessions with each other and all their routes, and no routes to removed
// subnets (gone); nil: nothing. speakers are the members' answers, hosts what servers should have.
func Unheard(n *state.Network, hosts map[string]*spec.Host, gone []netip.Prefix, speakers []Answer) []string {
	at := map[string]*spec.BGPStatus{}
	for _, s := range speakers {
		if s.Err == nil {
			at[s.Server] = s.Status
		}
	}
	up := func(server string) bool { return at[server] != nil }
	var out []string
	for _, s := range speakers {
		h := hosts[s.Server]
		switch {
		case s.Err != nil || h == nil || h.BGP == nil:
		case s.Status == nil:
			out = append(out, s.Server+": no BGP daemon answers")
		default:
			out = append(out, unheardSessions(s, h.BGP, up)...)
			out = append(out, unheardRoutes(s, n, gone, up)...)
		}
	}
	return out
}

// unheardSessions are sessions of s that are not established, with servers that answer.
func unheardSessions(s Answer, want *spec.BGP, up func(string) bool) []string {
	have := map[netip.Addr]spec.BGPNeighborStatus{}
	for _, n := range s.Status.Neighbors {
		have[n.Addr] = n
	}
	var out []string
	for _, n := range want.Neighbors {
		if n.Name == "" || !up(n.Name) {
			continue
		}
		switch got := have[n.Addr]; {
		case got.State != spec.BGPEstablished:
			out = append(out, fmt.Sprintf("%s: the session with %s is %s", s.Server, n.Name, Down(got)))
		case n.BFD > 0 && (got.BFD == nil || !got.BFD.Up):
			out = append(out, fmt.Sprintf("%s: the session with %s is %s", s.Server, n.Name, Unwatched(got)))
		}
	}
	return out
}

// unheardRoutes are shared subnets to which s should have a route and has none, or the
// other way round.
func unheardRoutes(s Answer, n *state.Network, gone []netip.Prefix, up func(string) bool) []string {
	have := map[netip.Prefix]spec.BGPRoute{}
	for _, r := range s.Status.Routes {
		have[r.Prefix] = r
	}
	var out []string
	for _, text := range n.Shares {
		share, err := state.ParseShare(text)
		if err != nil || share.Server == s.Server || !up(share.Server) || slices.Contains(n.Anycast, share.Subnet) {
			continue
		}
		if r, known := have[share.Subnet]; !known || !r.Kernel && r.Why == "" {
			out = append(out, fmt.Sprintf("%s has no route to %s of %s", s.Server, share.Subnet, share.Server))
		}
	}
	for _, p := range gone {
		if r, known := have[p]; known && !r.Local {
			out = append(out, fmt.Sprintf("%s still has a route to %s", s.Server, p))
		}
	}
	received := map[string]int{}
	for _, n := range s.Status.Neighbors {
		received[n.Name] += n.Received
	}
	for _, m := range n.Members {
		from := ground.ServerOf(m)
		if from != s.Server && up(from) && received[from] < Told(n, s.Server, from, up) {
			out = append(out, fmt.Sprintf("%s has not heard all of %s", s.Server, from))
		}
	}
	return out
}

// Unmatched describes, in one line each, the rules of a server for its neighbour n that
// match nothing that n announces.
func Unmatched(server string, n spec.BGPNeighborStatus) []string {
	var out []string
	for _, r := range n.Unmatched {
		out = append(out, fmt.Sprintf("%s accepts %q of %s, which announces nothing of it", server, strings.TrimPrefix(r.String(), "permit "), n.Addr))
	}
	return out
}

// UnheardOutside describes what is wrong with the sessions of s with the speakers of
// asked, and says whether waiting may help.
func UnheardOutside(s Answer, want *spec.BGP, asked map[Outside]bool) (missing []string, waits bool) {
	if s.Status == nil || want == nil {
		return nil, false
	}
	have := map[netip.Addr]spec.BGPNeighborStatus{}
	for _, n := range s.Status.Neighbors {
		have[n.Addr] = n
	}
	for _, n := range want.Neighbors {
		o := Outside{s.Server, n.Addr}
		if !n.External || !asked[o] {
			continue
		}
		got := have[n.Addr]
		switch {
		case got.State != spec.BGPEstablished:
			missing = append(missing, o.head()+Down(got))
			waits = waits || !got.Refused
		case len(n.Import) > 0 && got.Uptime < spec.BGPHeard:
			waits = true
		case n.BFD > 0 && (got.BFD == nil || !got.BFD.Up):
			missing = append(missing, o.head()+Unwatched(got))
			waits = true
		default:
			missing = append(missing, Unmatched(s.Server, got)...)
		}
	}
	return missing, waits
}

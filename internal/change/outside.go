package change

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/spec"
)

// Outside is the session of a member of a BGP network with a speaker outside of the
// network.
type Outside struct {
	Server string
	Addr   netip.Addr
}

func (o Outside) head() string { return fmt.Sprintf("%s: the session with %s is ", o.Server, o.Addr) }

// Down says whether out found the session down after waiting for it.
func (o Outside) Down(out *Outcome) bool {
	for _, n := range out.Unheard {
		if strings.HasPrefix(n.Text, o.head()) {
			return true
		}
	}
	return false
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

// outside are the sessions with speakers outside that this change concerns: those that
// steps were done for, and the one that the request names.
func (r *run) outside() map[Outside]bool {
	out := map[Outside]bool{}
	for name, p := range r.peers {
		h := r.compiled.Hosts[name]
		if _, report := p.whole(); report != nil && h != nil && h.BGP != nil {
			touched := map[string]bool{}
			for _, s := range report.Steps {
				touched[s.Object] = s.Action != spec.Remove
			}
			for _, n := range h.BGP.Neighbors {
				if n.External && touched[n.Object()] {
					out[Outside{name, n.Addr}] = true
				}
			}
		}
	}
	if o := r.req.Await.Outside; o != nil {
		out[*o] = true
	}
	return out
}

// unheardOutside describes what is wrong with the sessions of s with the speakers of
// asked, and says whether waiting may help.
func unheardOutside(s Speaker, want *spec.BGP, asked map[Outside]bool) (missing []string, waits bool) {
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
			missing = append(missing, o.head()+peering.Down(got))
			waits = waits || !got.Refused
		case len(n.Import) > 0 && got.Uptime < spec.BGPHeard:
			waits = true
		case n.BFD > 0 && (got.BFD == nil || !got.BFD.Up):
			missing = append(missing, o.head()+peering.Unwatched(got))
			waits = true
		default:
			missing = append(missing, Unmatched(s.Server, got)...)
		}
	}
	return missing, waits
}

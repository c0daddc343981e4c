package change

import (
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/spec"
)

// Outside is the session of a member of a BGP network with a speaker outside of the network.
type Outside = peering.Outside

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
					out[Outside{Server: name, Addr: n.Addr}] = true
				}
			}
		}
	}
	if o := r.req.Await.Outside; o != nil {
		out[*o] = true
	}
	return out
}

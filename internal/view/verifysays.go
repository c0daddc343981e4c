package view

import (
	"github.com/flocknet/flock/internal/change"
)

// VerifyDocOf is what -o json prints.
func VerifyDocOf(v *change.Verification, list []*Verified) VerifyDoc {
	doc := VerifyDoc{Networks: []verifiedDoc{}}
	for _, s := range v.Absent {
		doc.Absent = append(doc.Absent, s.Name)
	}
	for _, s := range v.Drifted {
		n := serverDoc{Name: s.Name, State: Drifted, Steps: []StepDoc{}}
		for _, step := range s.Plan.Steps {
			n.Steps = append(n.Steps, StepDoc(step))
		}
		doc.Drifted = append(doc.Drifted, n)
	}
	for _, d := range list {
		n := verifiedDoc{Name: d.Name, Type: d.Type, State: d.State(), Untried: d.untried, Bare: d.bare, Legs: []legDoc{}}
		n.Says, n.Next = d.Says()
		for _, t := range d.Legs {
			e := t.Leg.Echo
			n.Legs = append(n.Legs, legDoc{
				t.From, t.To, e.From.String(), e.To.String(), t.State(), t.Sent, t.Heard,
				float64(t.Min) / 1e6, float64(t.Median) / 1e6, float64(t.P90) / 1e6, float64(t.P99) / 1e6, e.MTU, t.Passes, t.Handshake, t.Rate(),
			})
		}
		if s := d.Sessions; s.All > 0 {
			n.Sessions = &sessionsDoc{Sessions: s.All, Up: s.Up}
			for _, e := range s.Down {
				n.Sessions.Down = append(n.Sessions.Down, e.Server+": "+e.Says)
			}
		}
		for _, s := range d.Services {
			b := bridgeDoc{Server: s.Server, Bridge: s.Bridge, By: s.By, DHCP: s.Err == nil && s.Leases()}
			if names := s.Names(); s.Asked() {
				b.Names = &names
			}
			if s.Err != nil {
				b.Error = s.Err.Error()
			}
			n.Bridges = append(n.Bridges, b)
		}
		doc.Networks = append(doc.Networks, n)
	}
	return doc
}

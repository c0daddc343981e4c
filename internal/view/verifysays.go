package view

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/verify"
)

// saysMost is how many sentences a network gets; -o json has all its legs.
const saysMost = 8

// Says are sentences about what is wrong with a network, one for a pair, and what to type
// next.
func (d *Verified) Says() (says []string, next string) {
	type pair struct{ one, other, state string }
	narrowest, said := map[pair]int{}, map[pair]bool{}
	of := func(t verify.Tried) pair { return pair{min(t.From, t.To), max(t.From, t.To), t.State()} }
	for _, t := range d.legs {
		if least, known := narrowest[of(t)]; !known || t.Echoed.Passes < least {
			narrowest[of(t)] = t.Echoed.Passes
		}
	}
	least, lost, drifted, broken := 0, false, false, false
	for _, t := range d.legs {
		state := t.State()
		if state == verify.Passes || said[of(t)] {
			continue // the pair has its sentence; IPv4 comes first
		}
		said[of(t)] = true
		switch state {
		case verify.Lost:
			lost, drifted = true, drifted || d.drifted[t.From] || d.drifted[t.To]
			says = append(says, d.saysLost(t))
		case verify.Lossy:
			says = append(says, d.saysLossy(t))
		case verify.Broken, verify.Stalls:
			says, broken = append(says, d.saysBroken(t)), true
		case verify.Narrow:
			passes := narrowest[of(t)]
			says = append(says, fmt.Sprintf("packets of more than %d bytes between %s and %s%s are lost, the network uses %d", passes, t.From, t.To, family(t), t.Leg.Echo.MTU))
			if least == 0 || passes < least {
				least = passes
			}
		}
	}
	silent, mend := verify.SaysServices(d.services, d.drifted)
	outside, back := verify.SaysOutside(d.outside, d.drifted)
	says = slices.Concat(outside, says, silent)
	if more := len(says) - saysMost; more > 0 {
		says = append(says[:saysMost:saysMost], fmt.Sprintf("and %d more; -o json lists all paths", more))
	}
	switch {
	case lost && drifted:
		next = "flock apply"
	case lost, broken:
		next = "flock status " + d.Name
	case least >= d.leastMTU() && d.settable:
		next = fmt.Sprintf("flock setnetwork %s --mtu %d", d.Name, least)
	}
	next = cmp.Or(back, next, mend)
	return says, next
}

// leastMTU is the smallest MTU that the network can be set to, in bytes.
func (d *Verified) leastMTU() int {
	if slices.ContainsFunc(d.legs, func(t verify.Tried) bool { return t.Leg.Echo.To.Is6() }) {
		return ground.MinMTU6
	}
	return ground.MinMTU
}

// back is the leg from t's end to its beginning, an index; -1: it was not tried.
func (d *Verified) back(t verify.Tried) int {
	return slices.IndexFunc(d.legs, func(o verify.Tried) bool { return o.Leg.Echo.From == t.Leg.Echo.To && o.Leg.Echo.To == t.Leg.Echo.From })
}

// family tells the legs of an IPv6 network beside an IPv4 one apart.
func family(t verify.Tried) string {
	if t.Leg.Echo.To.Is6() {
		return " by IPv6"
	}
	return ""
}

// saysLost says which packets of a pair are lost, and what is to pass below.
func (d *Verified) saysLost(t verify.Tried) string {
	arrived, answered := false, false
	if back := d.back(t); back >= 0 {
		arrived, answered = d.legs[back].Arrived, d.legs[back].Heard > 0
	}
	from, to := t.From, t.To
	switch {
	case answered:
		return fmt.Sprintf("%s does not answer %s%s, which answers %s: does a firewall on %s drop ICMP?", to, from, family(t), to, to)
	case t.Arrived && arrived:
		return fmt.Sprintf("requests from %s and from %s%s arrive, no answer does: does a firewall on one of them drop ICMP?", from, to, family(t))
	case t.Arrived:
		return fmt.Sprintf("packets from %s to %s%s are lost, those from %s arrive%s", to, from, family(t), from, d.firewall(to, from, t.Below[1], t.Below[0]))
	case arrived:
		return fmt.Sprintf("packets from %s to %s%s are lost, those from %s arrive%s", from, to, family(t), to, d.firewall(from, to, t.Below[0], t.Below[1]))
	}
	return fmt.Sprintf("no packet passes between %s and %s%s%s", from, to, family(t), d.firewall(from, to, t.Below[0], t.Below[1]))
}

// saysLossy counts the packets of both ways: which of them lost some is luck, as a request or
// its answer may be what is lost. The pair is named in the order of the members.
func (d *Verified) saysLossy(t verify.Tried) string {
	if i := d.back(t); i >= 0 {
		there, back := t, d.legs[i]
		if i < slices.IndexFunc(d.legs, func(o verify.Tried) bool { return o.Leg.Echo == t.Leg.Echo }) {
			there = back
		}
		t.Sent, t.Heard, t.From, t.To = t.Sent+back.Sent, t.Heard+back.Heard, there.From, there.To
	}
	return fmt.Sprintf("%d of %d packets between %s and %s%s, or their answers, were lost", t.Sent-t.Heard, t.Sent, t.From, t.To, family(t))
}

// saysBroken says what becomes of TCP between a pair that answers echoes.
func (d *Verified) saysBroken(t verify.Tried) string {
	if t.State() == verify.Stalls {
		return fmt.Sprintf("TCP between %s and %s%s stalls, echoes pass: %d bytes went there, %d came back", t.From, t.To, family(t), t.Flow.Out, t.Flow.Back)
	}
	from, to, device := t.From, t.To, t.Device
	if t.BadSums[0] {
		from, to, device = to, from, ""
		if back := d.back(t); back >= 0 {
			device = d.legs[back].Device
		}
	}
	if device == "" {
		device = "DEVICE"
	}
	return fmt.Sprintf("TCP from %s to %s%s comes with wrong checksums, echoes pass: a device of %s does not sum up what it offers to; on %s: ethtool -K %s tx off",
		from, to, family(t), from, from, device)
}

// firewall asks about what is to pass below the network, unless the cause is nearer.
func (d *Verified) firewall(from, to string, below, other netip.Addr) string {
	for _, server := range []string{from, to} {
		if d.drifted[server] {
			return ": " + server + " is not as the cluster file says"
		}
	}
	if d.passing == "" {
		return ": is there a route, and does every firewall on the way let it pass?"
	}
	if below.IsValid() && other.IsValid() {
		from, to = from+" ("+below.String()+")", to+" ("+other.String()+")"
	}
	return fmt.Sprintf(": does every firewall on the way let %s pass from %s to %s?", d.passing, from, to)
}

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
		n := verifiedDoc{Name: d.Name, Type: d.Type, State: d.state(), Untried: d.untried, Bare: d.bare, Legs: []legDoc{}}
		n.Says, n.Next = d.Says()
		for _, t := range d.legs {
			e := t.Leg.Echo
			n.Legs = append(n.Legs, legDoc{
				t.From, t.To, e.From.String(), e.To.String(), t.State(), t.Sent, t.Heard,
				float64(t.Min) / 1e6, float64(t.Median) / 1e6, float64(t.P90) / 1e6, float64(t.P99) / 1e6, e.MTU, t.Passes, t.Rate(),
			})
		}
		for _, s := range d.services {
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

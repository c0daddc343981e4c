package verify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
)

// Network is what became of one network.
type Network struct {
	Name     string
	Passing  string // what must pass below it: "UDP 4789"; "": its packets travel as they are
	Settable bool   // its MTU can be set
	Legs     []Tried
	Services []*Service
	Outside  []Outside
	Sessions Sessions
	Drifted  map[string]bool // servers that are not as the cluster file says
	Absent   map[string]bool // servers that did not answer
}

// Untried is the state of a network of which nothing could be tried.
const Untried = "untried"

// State is the worst that was found.
func (n *Network) State() string {
	worst := Worst(n.Legs)
	switch {
	case len(n.Outside) > 0:
		return n.Outside[0].State()
	case worst == Passes && slices.ContainsFunc(n.Services, func(s *Service) bool { return !s.Well() }):
		return Silent
	case worst == Passes && len(n.Sessions.Down) > 0:
		return Down
	case len(n.Legs) == 0:
		return Untried
	}
	return worst
}

// Bad says whether a leg of the network, or a bridge, is not as it should be.
func (n *Network) Bad() bool { return n.State() != Passes && n.State() != Untried }

// saysMost is how many sentences a network gets; -o json has all its legs.
const saysMost = 8

// Says are sentences about what is wrong with a network, one for a pair, and what to type
// next.
func (n *Network) Says() (says []string, next string) {
	type pair struct{ one, other, state string }
	narrowest, said := map[pair]int{}, map[pair]bool{}
	of := func(t Tried) pair { return pair{min(t.From, t.To), max(t.From, t.To), t.State()} }
	for _, t := range n.Legs {
		if least, known := narrowest[of(t)]; !known || t.Echoed.Passes < least {
			narrowest[of(t)] = t.Echoed.Passes
		}
	}
	least, drifted, broken := 0, false, false
	trace := "" // the first way on which packets are lost
	for _, t := range n.Legs {
		state := t.State()
		if state == Passes || said[of(t)] {
			continue // the pair has its sentence; IPv4 comes first
		}
		said[of(t)] = true
		switch state {
		case Lost:
			drifted = drifted || n.Drifted[t.From] || n.Drifted[t.To] || n.Drifted[t.Via]
			if !n.Absent[t.Via] {
				trace = cmp.Or(trace, n.trace(t))
			}
			says = append(says, n.saysLost(t))
		case Lossy:
			says = append(says, n.saysLossy(t))
		case Broken, Stalls:
			says, broken = append(says, n.saysBroken(t)), true
		case Narrow:
			passes := narrowest[of(t)]
			says = append(says, fmt.Sprintf("packets of more than %d bytes between %s and %s%s are lost, the network uses %d", passes, t.From, t.To, family(t), t.Leg.Echo.MTU))
			if least == 0 || passes < least {
				least = passes
			}
		}
	}
	silent, mend := SaysServices(n.Services, n.Drifted)
	outside, back := SaysOutside(n.Outside, n.Drifted)
	down, look := n.Sessions.Says(n.Drifted)
	says = slices.Concat(outside, down, says, silent)
	if more := len(says) - saysMost; more > 0 {
		says = append(says[:saysMost:saysMost], fmt.Sprintf("and %d more; -o json lists all paths", more))
	}
	switch {
	case drifted:
		next = "flock apply"
	case look != "":
		next = look
	case trace != "":
		next = trace
	case broken:
		next = "flock status " + n.Name
	case least >= n.leastMTU() && n.Settable:
		next = fmt.Sprintf("flock setnetwork %s --mtu %d", n.Name, least)
	}
	next = cmp.Or(back, next, mend)
	return says, next
}

// trace is the command that follows a packet on the way of a pair on which packets are lost.
func (n *Network) trace(t Tried) string {
	end := func(server string, a netip.Addr) string { return server + ":" + a.String() }
	from, to := end(t.From, t.Leg.Echo.From), end(t.To, t.Leg.Echo.To)
	if back := n.back(t); back >= 0 && t.Arrived && n.Legs[back].Heard == 0 && !n.Legs[back].Arrived {
		from, to = to, from
	}
	return "flock trace " + from + " " + to
}

// leastMTU is the smallest MTU that the network can be set to, in bytes.
func (n *Network) leastMTU() int {
	if slices.ContainsFunc(n.Legs, func(t Tried) bool { return t.Leg.Echo.To.Is6() }) {
		return ground.MinMTU6
	}
	return ground.MinMTU
}

// back is the leg from t's end to its beginning, an index; -1: it was not tried.
func (n *Network) back(t Tried) int {
	return slices.IndexFunc(n.Legs, func(o Tried) bool { return o.Leg.Echo.From == t.Leg.Echo.To && o.Leg.Echo.To == t.Leg.Echo.From })
}

// family tells the legs of an IPv6 network beside an IPv4 one apart.
func family(t Tried) string {
	if t.Leg.Echo.To.Is6() {
		return " by IPv6"
	}
	return ""
}

// saysLost says which packets of a pair are lost, and what is to pass below.
func (n *Network) saysLost(t Tried) string {
	arrived, answered := false, false
	if back := n.back(t); back >= 0 {
		arrived, answered = n.Legs[back].Arrived, n.Legs[back].Heard > 0
	}
	from, to := t.From, t.To
	switch {
	case answered:
		return fmt.Sprintf("%s does not answer %s%s, which answers %s: does a firewall on %s drop ICMP?", to, from, family(t), to, to)
	case t.Arrived && arrived:
		return fmt.Sprintf("requests from %s and from %s%s arrive, no answer does: does a firewall on one of them drop ICMP?", from, to, family(t))
	case t.Arrived:
		return fmt.Sprintf("packets from %s to %s%s are lost, those from %s arrive%s", to, from, family(t), from, n.firewall(t.Via, to, from, t.Below[1], t.Below[0]))
	case arrived:
		return fmt.Sprintf("packets from %s to %s%s are lost, those from %s arrive%s", from, to, family(t), to, n.firewall(t.Via, from, to, t.Below[0], t.Below[1]))
	}
	text := fmt.Sprintf("no packet passes between %s and %s%s%s", from, to, family(t), n.firewall(t.Via, from, to, t.Below[0], t.Below[1]))
	if n.Drifted[from] || n.Drifted[to] {
		return text
	}
	if back := n.back(t); back >= 0 {
		return text + n.handshake(t, n.Legs[back])
	}
	return text + n.handshake(t)
}

// saysLossy counts the packets of both ways: which of them lost some is luck, as a request or
// its answer may be what is lost. The pair is named in the order of the members.
func (n *Network) saysLossy(t Tried) string {
	if i := n.back(t); i >= 0 {
		there, back := t, n.Legs[i]
		if i < slices.IndexFunc(n.Legs, func(o Tried) bool { return o.Leg.Echo == t.Leg.Echo }) {
			there = back
		}
		t.Sent, t.Heard, t.From, t.To = t.Sent+back.Sent, t.Heard+back.Heard, there.From, there.To
	}
	return fmt.Sprintf("%d of %d packets between %s and %s%s, or their answers, were lost", t.Sent-t.Heard, t.Sent, t.From, t.To, family(t))
}

// saysBroken says what becomes of TCP between a pair that answers echoes.
func (n *Network) saysBroken(t Tried) string {
	if t.State() == Stalls {
		return fmt.Sprintf("TCP between %s and %s%s stalls, echoes pass: %d bytes went there, %d came back", t.From, t.To, family(t), t.Flow.Out, t.Flow.Back)
	}
	from, to, device := t.From, t.To, t.Device
	if t.BadSums[0] {
		from, to, device = to, from, ""
		if back := n.back(t); back >= 0 {
			device = n.Legs[back].Device
		}
	}
	if device == "" {
		device = "DEVICE"
	}
	return fmt.Sprintf("TCP from %s to %s%s comes with wrong checksums, echoes pass: a device of %s does not sum up what it offers to; on %s: ethtool -K %s tx off",
		from, to, family(t), from, from, device)
}

// firewall asks about what is to pass below the network, unless the cause is nearer.
func (n *Network) firewall(via, from, to string, below, other netip.Addr) string {
	for _, server := range []string{from, to, via} {
		if n.Drifted[server] {
			return ": " + server + " is not as the cluster file says"
		}
	}
	switch {
	case n.Absent[via]:
		return ": they reach each other by way of " + via + ", which does not answer"
	case via != "":
		return fmt.Sprintf(": they reach each other by way of %s: does it pass packets on, and does every firewall let %s pass between it and both?", via, n.Passing)
	}
	if n.Passing == "" {
		return ": is there a route, and does every firewall on the way let it pass?"
	}
	if below.IsValid() && other.IsValid() {
		from, to = from+" ("+below.String()+")", to+" ("+other.String()+")"
	}
	return fmt.Sprintf(": does every firewall on the way let %s pass from %s to %s?", n.Passing, from, to)
}

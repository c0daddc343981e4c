package verify

import "fmt"

// Down is the state of a network whose paths pass, and of which a BGP session is down: what it
// carries beside those paths does not come.
const Down = "down"

// Sessions are the BGP sessions of a network, among members that answered and with speakers outside.
type Sessions struct {
	All, Up int
	Down    []End
}

// End is one end of a session that is not as it should be, in the words of its server.
type End struct{ Server, Says string }

// Sum says how many are up, in a few words; "": there are none.
func (s Sessions) Sum() string {
	switch {
	case s.All == 0:
		return ""
	case s.Up < s.All:
		return fmt.Sprintf("%d of %d BGP sessions are up", s.Up, s.All)
	case s.All == 1:
		return "1 BGP session is up"
	}
	return fmt.Sprintf("%d BGP sessions are up", s.All)
}

// Says are sentences about those that are down, and what to type next. Apart are members that are
// not as the cluster file says.
func (s Sessions) Says(apart map[string]bool) (says []string, next string) {
	for _, e := range s.Down {
		says = append(says, "BGP of "+e.Server+": "+e.Says)
		switch {
		case apart[e.Server]:
			next = "flock apply"
		case next == "":
			next = "flock showbgp " + e.Server
		}
	}
	return says, next
}

// sessionOver is the age in seconds of a handshake whose keys are used no more (REJECT_AFTER_TIME of the
// WireGuard paper, §6.1): packets that are to be sent begin a new one.
const sessionOver = 180

// handshake says when a pair of WireGuard peers that loses packets last agreed on keys, by the end
// that knows of no handshake, or of an older one, as it was before those packets were sent; "": it is
// another network's.
func (n *Network) handshake(ends ...Tried) string {
	oldest := -1
	for _, t := range ends {
		switch {
		case t.Handshake == nil:
		case *t.Handshake < 0:
			return fmt.Sprintf(" %s has had no handshake with %s yet.", t.From, t.To)
		default:
			oldest = max(oldest, *t.Handshake)
		}
	}
	switch {
	case oldest < 0:
		return ""
	case oldest > sessionOver:
		from, to := ends[0].From, ends[0].To
		return fmt.Sprintf(" Their session has expired: the last handshake was %d s before, and what was sent now brought no new one. If UDP passes (flock probe %s %s), flock rotatekeys %s %s begins anew.",
			oldest, from, to, n.Name, to)
	}
	return fmt.Sprintf(" They had a handshake %d s before: their keys are right.", oldest)
}

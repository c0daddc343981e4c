package view

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// mostTold is how many routes of one direction are listed without -o wide.
const mostTold = 100

// ExchangeDoc is what a server and some of its BGP neighbours tell each other, in -o json.
type ExchangeDoc struct {
	Server   string       `json:"server"`
	Network  string       `json:"network"`
	Sessions []sessionDoc `json:"sessions"`
}

type sessionDoc struct {
	Peer       neighborDoc `json:"peer"`
	Received   []toldDoc   `json:"received"` // all that it announces, refused ones too
	Advertised []toldDoc   `json:"advertised"`
	// Later says that nothing is advertised before all neighbours have told theirs: the
	// daemon restarted.
	Later bool `json:"advertises_later,omitempty"`
}

type toldDoc struct {
	Prefix      string   `json:"prefix"`
	NextHop     string   `json:"next_hop,omitempty"`
	ASPath      string   `json:"as_path"`
	MED         *uint32  `json:"med,omitempty"`
	LocalPref   *uint32  `json:"local_pref,omitempty"`
	Communities []string `json:"communities,omitempty"`
	Age         int64    `json:"age,omitempty"`     // of a received one
	Refused     string   `json:"refused,omitempty"` // why it is; absent: it is accepted
	Used        bool     `json:"used"`              // the kernel has a route by it
	Stale       bool     `json:"stale,omitempty"`
	Why         string   `json:"why,omitempty"` // why an accepted one is not used
}

func toldDocs(list []spec.BGPTold) []toldDoc {
	out := []toldDoc{}
	for _, t := range list {
		d := toldDoc{
			Prefix: t.Prefix.String(), ASPath: t.ASPath, MED: t.MED, LocalPref: t.LocalPref, Communities: t.Communities, Age: seconds(t.Age),
			Refused: t.Refused, Used: t.Used, Stale: t.Stale, Why: t.Why,
		}
		if t.NextHop.IsValid() {
			d.NextHop = t.NextHop.String()
		}
		out = append(out, d)
	}
	return out
}

// PrintExchanges prints what a server and the neighbours that it was asked for tell each
// other.
func (a *Page) PrintExchanges(s change.Speaker) error {
	if a.JSON() {
		doc := ExchangeDoc{s.Server, s.Status.Network, []sessionDoc{}}
		for _, e := range s.Status.Exchanges {
			doc.Sessions = append(doc.Sessions, sessionDoc{
				Peer: neighborDocOf(NeighborOf(s.Status, e.Addr)), Received: toldDocs(e.Received), Advertised: toldDocs(e.Sent), Later: e.Later,
			})
		}
		return a.PrintJSON(doc)
	}
	if err := a.Print(a.Out, "%s: %s\n", s.Server, speakerHead(s.Status)); err != nil {
		return err
	}
	for _, e := range s.Status.Exchanges {
		if err := a.printExchange(NeighborOf(s.Status, e.Addr), e); err != nil {
			return err
		}
	}
	return nil
}

// NeighborOf is the session with a neighbour; one that the daemon does not mention is down.
func NeighborOf(s *spec.BGPStatus, addr netip.Addr) spec.BGPNeighborStatus {
	for _, n := range s.Neighbors {
		if n.Addr == addr {
			return n
		}
	}
	return spec.BGPNeighborStatus{Addr: addr, State: spec.BGPIdle}
}

func (a *Page) printExchange(n spec.BGPNeighborStatus, e spec.BGPExchange) error {
	if err := a.Print(a.Out, "\n"); err != nil {
		return err
	}
	if err := a.peerTable(&spec.BGPStatus{Neighbors: []spec.BGPNeighborStatus{n}}).Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	in := &screen.Table{Whole: a.Wide(), Head: []string{"RECEIVED", "NEXT HOP", "AS PATH", "MED", "PREF", "COMMUNITIES", "AGE", "STATE", "WHY"}}
	for _, t := range a.fewTold(e.Received) {
		in.Add(t.Prefix.String(), addrText(t.NextHop), t.ASPath, digit(t.MED), digit(t.LocalPref), strings.Join(t.Communities, " "), lasted(t.Age), toldState(t), cmp.Or(t.Refused, t.Why))
	}
	if err := a.told(receivedLine(e.Received), len(e.Received), in); err != nil {
		return err
	}
	out := &screen.Table{Whole: a.Wide(), Head: []string{"ADVERTISED", "NEXT HOP", "AS PATH", "MED", "PREF", "COMMUNITIES"}}
	for _, t := range a.fewTold(e.Sent) {
		out.Add(t.Prefix.String(), addrText(t.NextHop), t.ASPath, digit(t.MED), digit(t.LocalPref), strings.Join(t.Communities, " "))
	}
	line := "advertised: " + Plural(len(e.Sent), "route")
	if e.Later {
		line += " yet: the daemon restarted, and waits until all neighbors have told theirs"
	}
	return a.told(line, len(e.Sent), out)
}

// told prints one direction: the line that sums it up, the routes, and how many are not
// listed.
func (a *Page) told(line string, all int, t *screen.Table) error {
	if err := a.Print(a.Out, "\n%s\n", line); err != nil || all == 0 {
		return err
	}
	if err := t.Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	if a.Wide() || all <= mostTold {
		return nil
	}
	return a.Print(a.Out, "and %d more: -o wide lists all\n", all-mostTold)
}

// fewTold are the routes that are listed: all of them or, of many, those refused first.
func (a *Page) fewTold(list []spec.BGPTold) []spec.BGPTold {
	if a.Wide() || len(list) <= mostTold {
		return list
	}
	list = slices.Clone(list)
	rank := func(t spec.BGPTold) int {
		switch {
		case t.Refused != "":
			return 0
		case t.Why != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(x, y spec.BGPTold) int { return cmp.Compare(rank(x), rank(y)) })
	return list[:mostTold]
}

// receivedLine counts what a neighbour announces, and why how much of it is refused.
func receivedLine(list []spec.BGPTold) string {
	var reasons []string // in the order in which they come
	count, refused, used := map[string]int{}, 0, 0
	for _, t := range list {
		if t.Refused != "" {
			refused++
			reason := reasonOf(t.Refused)
			if count[reason]++; count[reason] == 1 {
				reasons = append(reasons, reason)
			}
		}
		if t.Used && t.Why == "" {
			used++
		}
	}
	line := fmt.Sprintf("received: %s", Plural(len(list), "route"))
	if len(list) == 0 {
		return line
	}
	line += fmt.Sprintf(", %d used by the kernel, %d accepted, %d refused", used, len(list)-refused, refused)
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%s %d", reason, count[reason])
	}
	if refused > 0 {
		line += " (" + strings.Join(reasons, ", ") + ")"
	}
	return line
}

// reasonOf is the kind of reason that a server's words begin with.
func reasonOf(why string) string {
	word, _, _ := strings.Cut(why, ":")
	if slices.Contains([]string{"accept list", "overlap", "own segment", "loop", "reserved", "filters"}, word) {
		return word
	}
	return "other"
}

func toldState(t spec.BGPTold) string {
	text := "used"
	switch {
	case t.Refused != "":
		text = "refused"
	case !t.Used || t.Why != "":
		text = "unused"
	}
	if t.Stale {
		text += " stale"
	}
	return text
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// digit is a number that may be missing.
func digit(n *uint32) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/verify"
)

// VerifyDoc is what -o json prints of a verification.
type VerifyDoc struct {
	Networks []verifiedDoc `json:"networks"`
	Absent   []string      `json:"absent,omitempty"`  // servers that could not be asked
	Drifted  []serverDoc   `json:"drifted,omitempty"` // servers that are not as the cluster file says
}

type verifiedDoc struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	State   string   `json:"state"` // passes, lost, broken, stalls, lossy, narrow: the worst of its legs; clear, astray: packets leave it; silent: those pass, on a bridge DHCP or names fail; down: those pass, a BGP session is down; untried
	Legs    []legDoc `json:"paths"`
	Untried int      `json:"untried,omitempty"` // paths from and to absent servers
	Bare    []string `json:"bare,omitempty"`    // members without an address in the network, not tried
	Next    string   `json:"next,omitempty"`
	Says    []string `json:"says,omitempty"` // what is wrong, as a sentence

	Bridges  []bridgeDoc  `json:"bridges,omitempty"`  // where containers get addresses
	Sessions *sessionsDoc `json:"sessions,omitempty"` // of BGP, each once
}

// bridgeDoc is what a new container gets on a member's bridge.
type bridgeDoc struct {
	Server string `json:"server"`
	Bridge string `json:"bridge"`
	By     string `json:"by"`              // the server whose DHCP and DNS they are
	DHCP   bool   `json:"dhcp"`            // an address of each family that is handed out
	Names  *bool  `json:"names,omitempty"` // the resolver's answer; it is not there where there was no address to ask from
	Error  string `json:"error,omitempty"`
}

type legDoc struct {
	From        string  `json:"from"`
	To          string  `json:"to"`
	FromAddress string  `json:"from_address"`
	ToAddress   string  `json:"to_address"`
	State       string  `json:"state"`
	Sent        int     `json:"sent"`
	Heard       int     `json:"heard"`
	Min         float64 `json:"min_ms"`
	Median      float64 `json:"median_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	MTU         int     `json:"mtu,omitempty"`               // bytes that should pass in one piece
	Passes      int     `json:"passes,omitempty"`            // bytes that do
	Handshake   *int    `json:"handshake_seconds,omitempty"` // since the pair's last one of WireGuard, when it began; negative: there was none
	// Rate is of TCP data there and back, one after the other; 0: none was sent on this path.
	Rate float64 `json:"bits_per_second,omitempty"`
}

// Verified is one network of a verification.
type Verified struct {
	verify.Network
	Type    string
	servers []string
	untried int // legs from and to servers that are absent
	bare    []string
}

// VerifiedOf are the networks of v, in order of name; those without a leg come too.
func VerifiedOf(v *change.Verification) []*Verified {
	of, drifted, absent := map[string]*Verified{}, map[string]bool{}, map[string]bool{}
	for _, s := range v.Absent {
		absent[s.Name] = true
	}
	for _, s := range v.Drifted {
		drifted[s.Name] = true
	}
	add := func(name string) *Verified {
		if of[name] == nil {
			n := v.Cluster.Networks[name]
			of[name] = &Verified{
				Network: verify.Network{Name: name, Passing: network.Passing(n), Settable: network.KindOf(n).Settable(name, n, "mtu") == nil, Drifted: drifted, Absent: absent},
				Type:    n.Type, untried: v.Untried[name], bare: v.Bare[name],
			}
		}
		return of[name]
	}
	for _, name := range v.Without {
		add(name)
	}
	for name := range v.Untried {
		add(name)
	}
	for _, s := range v.Services {
		add(s.Network).Services = append(add(s.Network).Services, s)
	}
	for _, o := range v.Outside {
		add(o.Network).Outside = append(add(o.Network).Outside, o)
	}
	for _, t := range v.Legs {
		d := add(t.Network)
		d.Legs = append(d.Legs, t)
		d.servers = append(d.servers, t.From)
	}
	for name, sessions := range sessionsIn(v) {
		if of[name] != nil {
			of[name].Sessions = sessions
		}
	}
	var out []*Verified
	for _, d := range of {
		slices.SortFunc(d.servers, screen.ByName)
		d.servers = slices.Compact(d.servers)
		slices.SortStableFunc(d.Legs, func(x, y verify.Tried) int {
			return cmp.Or(screen.ByName(x.From, y.From), screen.ByName(x.To, y.To))
		})
		out = append(out, d)
	}
	slices.SortFunc(out, func(x, y *Verified) int { return screen.ByName(x.Name, y.Name) })
	return out
}

// sessionsIn are the BGP sessions of networks. One among members is counted once, and not at all if
// one of its ends did not answer.
func sessionsIn(v *change.Verification) map[string]verify.Sessions {
	away := map[string]bool{}
	for _, s := range v.Absent {
		away[s.Name] = true
	}
	absent := func(server string) bool { return away[server] }
	up, out := map[[4]string]bool{}, map[string]verify.Sessions{}
	for _, s := range v.Speakers {
		of := out[s.Status.Network]
		for _, text := range downSessions(s.Status, absent) {
			of.Down = append(of.Down, verify.End{Server: s.Server, Says: text})
		}
		out[s.Status.Network] = of
		for _, n := range s.Status.Neighbors {
			if n.Name != "" && absent(n.Name) {
				continue
			}
			key := [4]string{s.Status.Network, s.Server, n.Addr.String()}
			if n.Name != "" {
				key = [4]string{s.Status.Network, min(s.Server, n.Name), max(s.Server, n.Name), fmt.Sprint(n.Addr.Is6())}
			}
			was, known := up[key]
			up[key] = n.State == spec.BGPEstablished && (was || !known)
		}
	}
	for key, is := range up {
		of := out[key[0]]
		if of.All++; is {
			of.Up++
		}
		out[key[0]] = of
	}
	return out
}

// head is the network in one line.
func (d *Verified) head() string { return fmt.Sprintf("%s (%s): %s", d.Name, d.Type, d.summary()) }

// summary says how many paths are as they should be, what answers on bridges, and what leaves the
// network.
func (d *Verified) summary() string {
	words := []string{d.paths(), d.Sessions.Sum(), verify.SumServices(d.Services), verify.SumOutside(d.Outside)}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ")
}

func (d *Verified) paths() string {
	switch {
	case len(d.Legs) == 0 && d.untried > 0:
		return Plural(d.untried, "path") + " not tried, a server is absent"
	case len(d.Legs) == 0:
		return "nothing to try, no two members have an address in it" + d.bareText(": ")
	}
	count, least, most, mtu := map[string]int{}, time.Duration(0), time.Duration(0), 0
	for _, t := range d.Legs {
		count[t.State()]++
		if t.Heard > 0 {
			if least == 0 || t.Min < least {
				least = t.Min
			}
			most, mtu = max(most, t.Median), max(mtu, t.Passes)
		}
	}
	words := []string{fmt.Sprintf("all %d paths pass", len(d.Legs))}
	if count[verify.Passes] < len(d.Legs) {
		words = []string{fmt.Sprintf("%d of %d paths pass", count[verify.Passes], len(d.Legs))}
		for state, word := range map[string]string{verify.Lost: "without an answer", verify.Lossy: "with losses", verify.Narrow: "too narrow", verify.Broken: "with wrong checksums", verify.Stalls: "on which TCP stalls"} {
			if count[state] > 0 {
				words = append(words, fmt.Sprintf("%d %s", count[state], word))
			}
		}
		slices.Sort(words[1:])
	}
	if most > 0 {
		words = append(words, millis(least)+" to "+millis(most)+" ms")
	}
	if mtu > 0 {
		words = append(words, fmt.Sprintf("packets of %d bytes", mtu))
	}
	if low, high := d.rates(); high > 0 {
		words = append(words, "TCP "+bits(low)+" to "+bits(high))
	}
	if d.untried > 0 {
		words = append(words, fmt.Sprintf("%d not tried, a server is absent", d.untried))
	}
	return strings.Join(words, ", ") + d.bareText(", not tried: ")
}

// rates are the slowest and the fastest pair of bulk data, in bits per second; 0: none was sent.
func (d *Verified) rates() (low, high float64) {
	for _, t := range d.Legs {
		if rate := t.Rate(); rate > 0 && (low == 0 || rate < low) {
			low = rate
		}
		high = max(high, t.Rate())
	}
	return low, high
}

// bits is a rate in a few letters.
func bits(rate float64) string {
	for _, unit := range []string{"bit/s", "kbit/s", "Mbit/s"} {
		if rate < 1000 {
			return fmt.Sprintf("%.3g %s", rate, unit)
		}
		rate /= 1000
	}
	return fmt.Sprintf("%.3g Gbit/s", rate)
}

// bareText names the members without an address in the network, from and to which nothing was
// tried.
func (d *Verified) bareText(before string) string {
	if len(d.bare) == 0 {
		return ""
	}
	has := "has"
	if len(d.bare) > 1 {
		has = "have"
	}
	return before + Listed(d.bare) + " " + has + " none in a subnet of it"
}

// millis is a duration in milliseconds, with three digits at most.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 9.995:
		return fmt.Sprintf("%.2f", ms)
	case ms < 99.95:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// PrintVerification prints each network: a line, a matrix while it fits, what is wrong.
func (a *Page) PrintVerification(list []*Verified, drifted []change.Server) error {
	for i, d := range list {
		if i > 0 {
			if err := a.Print(a.Out, "\n"); err != nil {
				return err
			}
		}
		colour := green
		if d.Bad() {
			colour = red
		}
		head := a.paint(a.OutTTY, colour, d.head())
		if len(d.Legs) == 0 {
			head = screen.Visible(d.head())
		}
		if _, err := fmt.Fprintln(a.Out, head); err != nil {
			return err
		}
		if len(d.Legs) > 0 {
			if err := a.matrix(d); err != nil {
				return err
			}
		}
		says, next := d.Says()
		for _, line := range says {
			if err := a.Print(a.Out, "  %s\n", line); err != nil {
				return err
			}
		}
		if next != "" {
			if err := a.Print(a.Out, "  next: %s\n", next); err != nil {
				return err
			}
		}
	}
	return a.printDrift(drifted)
}

// PrintBench prints what was measured on each path.
func (a *Page) PrintBench(v *change.Verification) error {
	t := &screen.Table{Whole: a.Wide(), Head: verify.BenchHead()}
	for _, row := range verify.Bench(v.Legs) {
		t.Add(row...)
	}
	if err := a.Print(a.Out, "\n"); err != nil {
		return err
	}
	return t.Write(a.Out, a.TableWidth())
}

// printDrift says which servers are not as the cluster file says, a line for each.
func (a *Page) printDrift(drifted []change.Server) error {
	if len(drifted) == 0 {
		return nil
	}
	if err := a.Print(a.Out, "\n"); err != nil {
		return err
	}
	for _, s := range drifted {
		if err := a.Print(a.Out, "%s is not as the cluster file says: %s\n", s.Name, spec.FewSteps(s.Plan.Steps)); err != nil {
			return err
		}
	}
	return a.Print(a.Out, "next: flock apply\n")
}

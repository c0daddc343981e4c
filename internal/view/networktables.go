package view

import (
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// NetworkTable has one row per network.
func (a *Page) NetworkTable(views []*Network, now time.Time) *screen.Table {
	t := &screen.Table{Whole: a.Wide(), Head: []string{"NAME", "TYPE", "SUBNET", "OPTIONS", "MEMBERS", "STATE"}}
	if a.Wide() {
		t.Head = []string{"NAME", "TYPE", "SUBNET", "GATEWAY", "OPTIONS", "MEMBERS", "STATE"}
	}
	tried := slices.ContainsFunc(views, func(v *Network) bool { return v.Verified != nil })
	if tried {
		t.Head = append(t.Head, "VERIFIED")
	}
	most := 0
	if a.OutTTY && !a.Wide() {
		most = mostMembers
	}
	for _, v := range views {
		row := []string{v.Name, v.Type, strings.Join(v.Subnet, " ")}
		if a.Wide() {
			row = append(row, strings.Join(v.Gateway, " "))
		}
		row = append(row, strings.Join(append(slices.Clone(v.options), v.besides()...), " "), v.members(most), v.stateText(most))
		if tried {
			row = append(row, verdictText(v.Verified, now))
		}
		t.Add(row...)
	}
	return t
}

// verdictText is a verdict in a cell; "-": there is none.
func verdictText(v *state.Verdict, now time.Time) string {
	if v == nil {
		return ""
	}
	return v.State + screen.NoBreak + ago(v.Time, now)
}

// mostMembers is how many members a terminal shows of a network; -o wide and
// pipes get all.
const mostMembers = 24

// PrintNetwork prints a network with its members.
func (a *Page) PrintNetwork(v *Network, now time.Time) error {
	if err := a.printHead(v); err != nil {
		return err
	}
	if v.Verified != nil {
		if err := a.PrintVerdict("", *v.Verified, now); err != nil {
			return err
		}
	}
	if len(v.Members) > 0 {
		if err := a.memberTable(v).Write(a.Out, a.TableWidth()); err != nil {
			return err
		}
	}
	if len(v.Containers) > 0 {
		t := &screen.Table{Whole: a.Wide(), Head: []string{"SERVER", "CONTAINER", "INTERFACE", "ADDRESSES"}}
		for _, c := range v.Containers {
			t.Add(c.Server, c.Container, c.Interface, strings.Join(c.Addresses, " "))
		}
		if err := t.Write(a.Out, a.TableWidth()); err != nil {
			return err
		}
	}
	return a.PrintNotes(slices.Concat(v.dated, v.Notes[len(v.dated):]))
}

// memberColumn is a column of a network's members.
type memberColumn struct {
	head string
	show bool
	cell func(memberView) string
}

// memberTable has the columns that the network's kind needs.
func (a *Page) memberTable(v *Network) *screen.Table {
	columns := []memberColumn{
		{"MEMBER", true, func(m memberView) string { return m.Member }},
		{"INTERFACE", true, func(m memberView) string { return m.Interface }},
		{"UNDERLAY", true, func(m memberView) string { return m.Underlay }},
		{"ADDRESS", v.kind.Shown("ADDRESS"), func(m memberView) string { return strings.Join(m.Addresses, " ") }},
		{"SUBNET", v.kind.Shown("SUBNET"), func(m memberView) string { return strings.Join(m.Subnets, " ") }},
		{"HANDS OUT", slices.ContainsFunc(v.Members, func(m memberView) bool { return len(m.HandsOut) > 0 }), func(m memberView) string { return strings.Join(m.HandsOut, " ") }},
		{"SHARED", v.kind.Shown("SHARED") || v.kind.Pooled() && len(v.Shared) > 0, func(m memberView) string { return strings.Join(m.Shared, " ") }},
		{"DIRECT", v.n.Direct, func(m memberView) string { return strings.Join(m.Direct, " ") }},
		{"MAC", a.Wide() && v.kind.Shown("MAC"), func(m memberView) string { return m.MAC }},
		{"KEY", a.Wide() && v.kind.Shown("KEY"), func(m memberView) string { return m.Key }},
		{"STATE", true, memberView.text},
	}
	columns = slices.DeleteFunc(columns, func(c memberColumn) bool { return !c.show })
	t := &screen.Table{Whole: a.Wide()}
	for _, c := range columns {
		t.Head = append(t.Head, c.head)
	}
	for _, m := range v.Members {
		var row []string
		for _, c := range columns {
			row = append(row, c.cell(m))
		}
		t.Add(row...)
	}
	return t
}

// PrintNotes prints what is to be known about a network, a line each.
func (a *Page) PrintNotes(notes []string) error {
	for _, n := range notes {
		if err := a.Print(a.Out, "note: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

// printHead prints what all members of a network share.
func (a *Page) printHead(v *Network) error {
	head := append([]string{v.Type}, v.Subnet...)
	if len(v.Gateway) > 0 {
		head = append(append(head, "gateway"), v.Gateway...)
	}
	err := a.Print(a.Out, "%s: %s, %s\n%s\n", v.Name, strings.Join(head, " "), v.stateText(mostMembers),
		strings.ReplaceAll(strings.Join(v.options, ", "), screen.NoBreak, " "))
	for _, e := range v.Externals {
		if err == nil {
			err = a.Print(a.Out, "%s\n", strings.Join(append([]string{strings.Join(e.words(), " ")}, e.Rules()...), ", "))
		}
	}
	return err
}

// Options are the settings of a network in the words of the command line, one
// each; mtu 0 is unknown.
func Options(n *state.Network, mtu int) []string {
	shown := *n
	shown.MTU = mtu
	var out []string
	for i := range option.All() {
		for _, words := range option.All()[i].Said(&shown) {
			out = append(out, strings.Join(words, screen.NoBreak))
		}
	}
	return out
}

// besides are the routers and shared subnets of a network, as options.
func (v *Network) besides() []string {
	var out []string
	for _, e := range v.Externals {
		out = append(out, strings.Join(e.words(), screen.NoBreak))
	}
	for _, share := range v.Shared {
		out = append(out, "subnet"+screen.NoBreak+share)
	}
	return out
}

// words name the router, as addbgp does.
func (e externalView) words() []string {
	return []string{"external", e.Server, e.Address, "as", option.FormatAS(e.AS)}
}

// Rules are what else addbgp was told of the router.
func (e externalView) Rules() []string {
	var out []string
	if e.Password {
		out = append(out, "with a password")
	}
	if e.Multihop > 0 {
		out = append(out, "multihop "+digits(e.Multihop))
	}
	if e.BFD > 0 {
		out = append(out, "bfd "+digits(e.BFD)+" ms")
	}
	if e.TTLSecurity {
		out = append(out, "ttl-security")
	}
	if e.MaxPrefixes > 0 {
		out = append(out, "max-prefixes "+digits(e.MaxPrefixes))
	}
	for _, o := range []struct {
		word string
		on   bool
	}{{"shutdown", e.Shutdown}, {"backup", e.Backup}} {
		if o.on {
			out = append(out, o.word)
		}
	}
	for _, o := range []struct {
		word string
		n    int
	}{{"local-pref", int(e.LocalPref)}, {"med", int(e.MED)}, {"prepend", e.Prepend}} {
		if o.n > 0 {
			out = append(out, o.word+" "+digits(o.n))
		}
	}
	for _, c := range e.Communities {
		out = append(out, "community "+c)
	}
	for _, rule := range e.Accept {
		out = append(out, "accept "+rule)
	}
	for _, rule := range e.Announce {
		out = append(out, "announce "+rule)
	}
	if e.Force {
		out = append(out, "force")
	}
	return out
}

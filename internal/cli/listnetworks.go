package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newListNetworks(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listnetworks [NAME]",
		Short: "list the networks and tunnels, or the members of one",
		Long: `List the networks and tunnels of the cluster, from the file: nobody is contacted ('flock status'
looks at the servers). With NAME, its members one by one. STATE is ready, 'pending s3 …'
(flock apply finishes it), empty (no members) or broken (what stands in the file makes no
sense: it is said why, and the exit status is 2). With -o json a list, with NAME one object.

  flock listnetworks
  flock listnetworks vx1 -o json`,
		Args:              between(0, 1),
		ValidArgsFunction: a.completeNetworks(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.listNetwork(cmd.Context(), args[0])
			}
			return a.listNetworks(cmd.Context())
		},
	}
}

func (a *app) listNetworks(ctx context.Context) error {
	r, err := a.read(ctx)
	if err != nil {
		return err
	}
	views := r.networks()
	if a.json() {
		return cmp.Or(a.printJSON(views), r.fault(a))
	}
	if len(views) == 0 {
		a.say("no networks yet; next: flock createnetwork NAME %s", strings.Join(network.Created(), "|"))
		return r.fault(a)
	}
	t := &screen.Table{Whole: a.wide(), Head: []string{"NAME", "TYPE", "SUBNET", "OPTIONS", "MEMBERS", "STATE"}}
	if a.wide() {
		t.Head = []string{"NAME", "TYPE", "SUBNET", "GATEWAY", "OPTIONS", "MEMBERS", "STATE"}
	}
	most := 0
	if a.OutTTY && !a.wide() {
		most = mostMembers
	}
	for _, v := range views {
		row := []string{v.Name, v.Type, strings.Join(v.Subnet, " ")}
		if a.wide() {
			row = append(row, strings.Join(v.Gateway, " "))
		}
		t.Add(append(row, strings.Join(append(slices.Clone(v.options), v.besides()...), " "), v.members(most), v.stateText(most))...)
	}
	return cmp.Or(t.Write(a.Out, a.tableWidth()), r.fault(a))
}

// mostMembers is how many members a terminal shows of a network; -o wide and
// pipes get all.
const mostMembers = 24

func (a *app) listNetwork(ctx context.Context, name string) error {
	r, err := a.read(ctx)
	if err != nil {
		return err
	}
	views := r.networks()
	at := slices.IndexFunc(views, func(v *networkView) bool { return v.Name == name })
	if at < 0 {
		return usage{hint.Errorf("network "+name, "flock listnetworks", "unknown network %s", name)}
	}
	v := views[at]
	if a.json() {
		return cmp.Or(a.printJSON(v), r.fault(a))
	}
	if err := a.printHead(v); err != nil {
		return err
	}
	if len(v.Members) > 0 {
		if err := a.memberTable(v).Write(a.Out, a.tableWidth()); err != nil {
			return err
		}
	}
	return cmp.Or(a.printNotes(v.Notes), r.fault(a))
}

// memberColumn is a column of a network's members.
type memberColumn struct {
	head string
	show bool
	cell func(memberView) string
}

// memberTable has the columns that the network's kind needs.
func (a *app) memberTable(v *networkView) *screen.Table {
	columns := []memberColumn{
		{"MEMBER", true, func(m memberView) string { return m.Member }},
		{"INTERFACE", true, func(m memberView) string { return m.Interface }},
		{"UNDERLAY", true, func(m memberView) string { return m.Underlay }},
		{"ADDRESS", v.kind.Shown("ADDRESS"), func(m memberView) string { return strings.Join(m.Addresses, " ") }},
		{"SUBNET", v.kind.Shown("SUBNET"), func(m memberView) string { return strings.Join(m.Subnets, " ") }},
		{"HANDS OUT", slices.ContainsFunc(v.Members, func(m memberView) bool { return len(m.HandsOut) > 0 }), func(m memberView) string { return strings.Join(m.HandsOut, " ") }},
		{"SHARED", v.kind.Shown("SHARED") || v.kind.Pooled() && len(v.Shared) > 0, func(m memberView) string { return strings.Join(m.Shared, " ") }},
		{"DIRECT", v.n.Direct, func(m memberView) string { return strings.Join(m.Direct, " ") }},
		{"MAC", a.wide() && v.kind.Shown("MAC"), func(m memberView) string { return m.MAC }},
		{"KEY", a.wide() && v.kind.Shown("KEY"), func(m memberView) string { return m.Key }},
		{"STATE", true, memberView.text},
	}
	columns = slices.DeleteFunc(columns, func(c memberColumn) bool { return !c.show })
	t := &screen.Table{Whole: a.wide()}
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

func (a *app) printNotes(notes []string) error {
	for _, n := range notes {
		if err := a.print(a.Out, "note: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

// printHead prints what all members of a network share.
func (a *app) printHead(v *networkView) error {
	head := append([]string{v.Type}, v.Subnet...)
	if len(v.Gateway) > 0 {
		head = append(append(head, "gateway"), v.Gateway...)
	}
	err := a.print(a.Out, "%s: %s, %s\n%s\n", v.Name, strings.Join(head, " "), v.stateText(mostMembers),
		strings.ReplaceAll(strings.Join(v.options, ", "), screen.NoBreak, " "))
	for _, e := range v.Externals {
		if err == nil {
			err = a.print(a.Out, "%s\n", strings.Join(append([]string{strings.Join(e.words(), " ")}, e.rules()...), ", "))
		}
	}
	return err
}

// options are the settings of a network in the words of the command line, one
// each; mtu 0 is unknown.
func options(n *state.Network, mtu int) []string {
	shown := *n
	shown.MTU = mtu
	var out []string
	for i := range network.AllOptions() {
		for _, words := range network.AllOptions()[i].Said(&shown) {
			out = append(out, strings.Join(words, screen.NoBreak))
		}
	}
	return out
}

// besides are the routers and shared subnets of a network, as options.
func (v *networkView) besides() []string {
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
	return []string{"external", e.Server, e.Address, "as", network.FormatAS(e.AS)}
}

// rules are what else addbgp was told of the router.
func (e externalView) rules() []string {
	var out []string
	if e.Password {
		out = append(out, "with a password")
	}
	if e.Multihop > 0 {
		out = append(out, "multihop "+digits(e.Multihop))
	}
	if e.TTLSecurity {
		out = append(out, "ttl-security")
	}
	if e.MaxPrefixes > 0 {
		out = append(out, "max-prefixes "+digits(e.MaxPrefixes))
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

// serverOf is the server's name in a member as written.
func serverOf(member string) string {
	name, _, _ := strings.Cut(member, ":")
	return name
}

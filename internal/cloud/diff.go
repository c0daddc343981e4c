package cloud

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What is to be done in a cloud follows from what is wanted, what was noted of earlier
// changes, and what is seen. Nothing here calls anybody.

// deed is what an op does.
type deed int

const (
	create deed = iota
	replace
	uncheck // make an interface let through what is not for itself
	remove
	check // the other way
)

// op is one call that changes something.
type op struct {
	deed  deed
	row   Row
	nic   string
	dead  bool   // the row leads nowhere
	table string // under whose name it is shown
	step  spec.Step
}

// late says whether an op waits until all servers are done: what it takes away may carry packets.
func (o op) late() bool { return o.deed == remove || o.deed == check }

// difference is what is to be done.
type difference struct {
	ops      []op
	tables   []string // that are concerned, sorted
	problems []error
	notes    []ground.Note
	missing  error // a member that nobody finds any more, whose rows stay; the rest is done
	wanted   []state.CloudRoute
	checked  []string // interfaces whose check was on, and that are needed without it
}

// differ compares.
type differ struct {
	difference
	want   ground.Cloud
	had    state.Cloud
	seen   *Seen
	limits [2]int                                // rows of a table and family: usual, most
	nics   map[string]NIC                        // of members, by server
	users  map[string]string                     // servers by their interface
	rows   map[string]map[netip.Prefix]wantedRow // by table
	of     map[string]string                     // a network of each table
	kept   []netip.Prefix                        // destinations behind members that are missing
}

type wantedRow struct{ by, server, network string }

// compare is what is to be done so that a cloud has what is wanted, and nothing of ours besides.
func compare(want ground.Cloud, had state.Cloud, seen *Seen, usual, most int) difference {
	d := &differ{
		want: want, had: had, seen: seen, limits: [2]int{usual, most},
		nics: map[string]NIC{}, users: map[string]string{}, rows: map[string]map[netip.Prefix]wantedRow{}, of: map[string]string{},
	}
	for _, n := range want.Networks {
		d.network(n)
	}
	if len(d.problems) > 0 {
		return d.difference
	}
	for _, t := range seen.Tables {
		concerned := d.table(t)
		if concerned {
			d.tables = append(d.tables, t.ID)
		}
	}
	slices.Sort(d.tables)
	d.checks()
	slices.SortStableFunc(d.ops, func(a, b op) int { return strings.Compare(a.table, b.table) })
	return d.difference
}

func (d *differ) problem(where, next, format string, args ...any) {
	d.problems = append(d.problems, hint.Errorf(where, next, format, args...))
}

// network finds where the rows of a network belong, and where they lead.
func (d *differ) network(n ground.CloudNetwork) {
	in := map[string][]string{} // members by VPC
	var vpcs []string
	for _, m := range n.Members {
		nic, err := d.find(m)
		if err != nil {
			d.lost(m, hint.With(err, "server "+m.Server, ""))
			continue
		}
		d.nics[m.Server], d.users[nic.ID] = nic, m.Server
		if in[nic.VPC] = append(in[nic.VPC], m.Server); len(in[nic.VPC]) == 1 {
			vpcs = append(vpcs, nic.VPC)
		}
	}
	if len(vpcs) > 1 {
		d.problem("network "+n.Name, "a network of its own for each VPC", "%s: %s in %s, %s in %s: no route table leads from one to the other",
			n.Name, ground.JoinWords(in[vpcs[0]]), vpcs[0], ground.JoinWords(in[vpcs[1]]), vpcs[1])
		return
	}
	for _, id := range d.tablesOf(n, vpcs) {
		if d.rows[id] == nil {
			d.rows[id], d.of[id] = map[netip.Prefix]wantedRow{}, n.Name
		}
		for _, m := range n.Members {
			if _, found := d.nics[m.Server]; !found {
				continue
			}
			for _, to := range m.Routed {
				d.rows[id][to] = wantedRow{d.nics[m.Server].ID, m.Server, n.Name}
			}
		}
	}
}

// lost is about a member without an interface. One that joins is a problem; one that had rows, as
// an instance that was terminated, must not be in the way of all others.
func (d *differ) lost(m ground.CloudMember, err error) {
	if !slices.ContainsFunc(d.had.Routes, func(r state.CloudRoute) bool { return slices.Contains(m.Routed, r.To) }) {
		d.problems = append(d.problems, err)
		return
	}
	d.kept = append(d.kept, m.Routed...)
	d.missing = cmp.Or(d.missing, err)
}

// find is the interface of a member: by its address and, as far as it says them, by its id
// and VPC, since two VPCs may have one address.
func (d *differ) find(m ground.CloudMember) (NIC, error) {
	var found []NIC
	for _, n := range d.seen.NICs {
		if slices.Contains(n.Addrs, m.Addr) && (m.At == nil || m.At.VPC == "" || m.At.VPC == n.VPC) {
			found = append(found, n)
		}
	}
	if len(found) > 1 && m.At != nil {
		if at := slices.IndexFunc(found, func(n NIC) bool { return n.ID == m.At.ID }); at >= 0 {
			found = found[at : at+1]
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return NIC{}, hint.Errorf("", "let it reach its metadata service (169.254.169.254), which says the VPC", "%d interfaces of the account have the address %s: which is %s's cannot be told", len(found), m.Addr, m.Server)
	}
	return NIC{}, hint.Errorf("", "another --region or --profile, or the server's address in the cloud: flock addnetwork NAME "+m.Server+":ADDRESS",
		"no interface of the account has the address %s of %s in %s", m.Addr, m.Server, d.want.Region)
}

// tablesOf are the tables of a network: those that were named, or those of the members'
// subnets.
func (d *differ) tablesOf(n ground.CloudNetwork, vpcs []string) []string {
	var out []string
	for _, id := range n.Tables {
		at := slices.IndexFunc(d.seen.Tables, func(t Table) bool { return t.ID == id })
		if at < 0 || !slices.Contains(vpcs, d.seen.Tables[at].VPC) && len(vpcs) > 0 {
			d.problem("network "+n.Name, "flock setnetwork "+n.Name+" --route-table ID", "the members' VPC has no route table %s", id)
			continue
		}
		out = append(out, id)
	}
	if len(n.Tables) > 0 {
		return out
	}
	for _, m := range n.Members {
		nic, ok := d.nics[m.Server]
		if !ok {
			continue
		}
		id := d.tableOf(nic)
		if id == "" {
			d.problem("server "+m.Server, "flock setnetwork "+n.Name+" --route-table ID", "no route table of %s is that of %s, where %s is", nic.VPC, nic.Subnet, m.Server)
		} else if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// tableOf is the table of an interface's subnet; "" if none is seen.
func (d *differ) tableOf(nic NIC) string {
	main := ""
	for _, t := range d.seen.Tables {
		if slices.Contains(t.Subnets, nic.Subnet) {
			return t.ID
		}
		if t.Main && t.VPC == nic.VPC {
			main = t.ID
		}
	}
	return main
}

// ours says whether a row is flock's: one that was noted, as long as it leads where it did or
// nowhere, and one within a pool that leads to a member.
func (d *differ) ours(table string, r SeenRow) bool {
	if slices.ContainsFunc(d.had.Routes, func(n state.CloudRoute) bool { return n.Table == table && n.To == r.To && (r.Dead || n.By == r.By) }) {
		return true
	}
	if d.users[r.By] == "" {
		return false
	}
	if _, wanted := d.rows[table][r.To]; wanted {
		return true
	}
	return slices.ContainsFunc(d.want.Networks, func(n ground.CloudNetwork) bool {
		return slices.ContainsFunc(n.Pools, func(p netip.Prefix) bool { return p.Bits() <= r.To.Bits() && p.Contains(r.To.Addr()) })
	})
}

// table compares one table, and says whether anything of ours is or should be in it.
func (d *differ) table(t Table) (concerned bool) {
	want, have := d.rows[t.ID], map[netip.Prefix][]SeenRow{}
	concerned = want != nil || slices.Contains(d.had.Tables, t.ID)
	count := map[bool]int{}
	for _, r := range t.Rows {
		have[r.To] = append(have[r.To], r)
		if r.Made {
			count[r.To.Addr().Is6()]++
		}
		for _, n := range d.want.Networks {
			if at := slices.IndexFunc(n.Pools, r.To.Overlaps); r.Local && want != nil && d.of[t.ID] == n.Name && at >= 0 {
				d.problem("network "+n.Name, "another pool: flock setnetwork "+n.Name+" -s SUBNET", "the pool %s of %s overlaps %s, the VPC itself", n.Pools[at], n.Name, r.To)
			}
		}
		if _, wanted := want[r.To]; !wanted && !r.Local && !slices.Contains(d.kept, r.To) && d.ours(t.ID, r) {
			concerned = true
			count[r.To.Addr().Is6()]--
			d.remove(t, r)
		}
	}
	for _, to := range sorted(want) {
		w := want[to]
		d.wanted = append(d.wanted, state.CloudRoute{Table: t.ID, To: to, By: w.by})
		r, there := d.best(t, have[to], w)
		o := op{row: Row{Table: t.ID, To: to, By: w.by, Name: r.Name, Network: w.network}, table: t.ID, step: spec.Step{Action: spec.Add, Object: "route " + to.String(), Detail: "to " + w.by + " of " + w.server}}
		switch {
		case !there:
			count[to.Addr().Is6()]++
			d.add(o)
		case r.By == w.by && !r.Dead:
		case !d.ours(t.ID, r):
			d.problem(d.want.Kind+" "+t.ID, "take it out, or give "+w.server+" another subnet", "%s has a route to %s by %s, which is not flock's", t.ID, to, r.By)
		default:
			o.deed, o.step.Action = replace, spec.Change
			o.step.Detail = "to " + d.whose(r) + " -> " + w.by + " of " + w.server
			d.add(o)
		}
	}
	d.quota(t, count)
	return concerned
}

// best is the row to a destination that is looked at: the one that is wanted or, if there is none,
// the first. Where a cloud has several, others of ours were left by a change that did not end.
func (d *differ) best(t Table, list []SeenRow, w wantedRow) (SeenRow, bool) {
	if len(list) == 0 {
		return SeenRow{}, false
	}
	at := max(0, slices.IndexFunc(list, func(r SeenRow) bool { return r.By == w.by && !r.Dead }))
	for i, r := range list {
		if i != at && d.ours(t.ID, r) {
			d.remove(t, r)
		}
	}
	return list[at], true
}

func (d *differ) remove(t Table, r SeenRow) {
	d.add(op{deed: remove, dead: r.Dead, row: Row{Table: t.ID, To: r.To, By: r.By, Name: r.Name}, table: t.ID, step: spec.Step{Action: spec.Remove, Object: "route " + r.To.String()}})
}

// whose is a row's target, and the server that it is.
func (d *differ) whose(r SeenRow) string {
	text := r.By
	if r.Dead {
		text += " (blackhole)"
	}
	if server := d.users[r.By]; server != "" {
		text += " of " + server
	}
	return text
}

func (d *differ) add(o op) { d.ops = append(d.ops, o) }

// quota counts the rows that a table would have.
func (d *differ) quota(t Table, count map[bool]int) {
	network, wanted := d.of[t.ID]
	if !wanted {
		return
	}
	for _, v6 := range []bool{false, true} {
		usual, most := d.limits[0], d.limits[1]
		switch n := count[v6]; {
		case n == 0:
		case n > most:
			d.problem(d.want.Kind+" "+t.ID, "larger subnets for fewer members, or another type: flock changetype "+network+" vxlan-l3", "%s would have %d %s routes, and no table has more than %d", t.ID, n, ground.FamilyName(v6), most)
		case n > usual:
			d.notes = append(d.notes, ground.Note{Network: network, Text: fmt.Sprintf("%s %s: %d of %d %s routes, if the quota was raised from %d", d.want.Kind, t.ID, n, most, ground.FamilyName(v6), usual)})
		default:
			d.notes = append(d.notes, ground.Note{Network: network, Text: fmt.Sprintf("%s %s: %d of %d %s routes", d.want.Kind, t.ID, n, usual, ground.FamilyName(v6))})
		}
	}
}

// checks switches the source/destination check of members' interfaces off, and back on where it
// was on and nobody needs it off.
func (d *differ) checks() {
	for _, n := range d.want.Networks {
		for _, m := range n.Members {
			nic, found := d.nics[m.Server]
			if !found || slices.Contains(d.checked, nic.ID) {
				continue
			}
			if slices.Contains(d.had.Checked, nic.ID) || nic.Checked {
				d.checked = append(d.checked, nic.ID)
			}
			if nic.Checked && d.seen.Fixed != "" {
				d.problem("server "+m.Server, d.seen.Fixed, "%s may not forward packets of others in %s: its instance %s has no right to", m.Server, d.want.Kind, nic.ID)
				continue
			}
			if shown := d.shown(d.tableOf(nic)); nic.Checked {
				d.ops = slices.Insert(d.ops, 0, op{deed: uncheck, nic: nic.ID, table: shown, step: spec.Step{Action: spec.Change, Object: "source/dest check of " + nic.ID, Detail: "on -> off (" + m.Server + ")"}})
			}
		}
	}
	for _, id := range d.had.Checked {
		at := slices.IndexFunc(d.seen.NICs, func(n NIC) bool { return n.ID == id })
		if d.users[id] != "" || at < 0 || d.seen.NICs[at].Checked {
			continue
		}
		d.add(op{deed: check, nic: id, table: d.shown(d.tableOf(d.seen.NICs[at])), step: spec.Step{Action: spec.Change, Object: "source/dest check of " + id, Detail: "off -> on"}})
	}
}

// shown is the table under whose name what is about an interface is shown: its own or, if that
// is not concerned, the first.
func (d *differ) shown(table string) string {
	switch {
	case slices.Contains(d.tables, table):
		return table
	case len(d.tables) == 0:
		return placeless(d.want)
	}
	return d.tables[0]
}

// sorted are the destinations of rows.
func sorted(rows map[netip.Prefix]wantedRow) []netip.Prefix {
	var out []netip.Prefix
	for to := range rows {
		out = append(out, to)
	}
	slices.SortFunc(out, prefix.Compare)
	return out
}

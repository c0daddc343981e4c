package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Place is a cloud during one change: what it should have, what was noted of it, what is to
// be done and what was done.
type Place struct {
	want  ground.Cloud
	had   state.Cloud
	known bool // had is in the cluster file
	api   API
	say   func(table, line string)

	asked  bool // this change is about it
	diff   difference
	seen   *Seen
	done   map[int]bool // by index of diff.ops
	looked bool         // it was seen
	after  bool         // it was seen again, and had what was wanted
	err    error
}

// Result is what came of a change in one route table.
type Result struct {
	Name    string // aws rtb-…
	Plan    *spec.Plan
	Report  *spec.Report // nil: nothing was to be done, or nothing was begun
	Refused []error
	Err     error
	Seen    bool // the cloud answered
}

// Places are the clouds that a cluster wants something of, or has something in.
func Places(want []ground.Cloud, had []state.Cloud) []*Place {
	var out []*Place
	taken := make([]bool, len(had))
	match := func(of ground.Cloud, same func(state.Cloud) bool) *Place {
		for i, h := range had {
			if !taken[i] && h.Kind == of.Kind && same(h) {
				taken[i] = true
				return &Place{want: of, had: h, known: true}
			}
		}
		return nil
	}
	exact := make([]*Place, len(want)) // all of them before any that is not: a note is stolen by nobody
	for i, of := range want {
		exact[i] = match(of, func(h state.Cloud) bool { return h.Region == of.Region && h.Profile == of.Profile })
	}
	for i, of := range want {
		p := exact[i]
		if p == nil { // the login is another one, or the members have said where they are
			p = match(of, func(h state.Cloud) bool { return h.Region == of.Region || of.Region == "" || h.Region == "" })
		}
		if p == nil {
			p = &Place{want: of, had: state.Cloud{Kind: of.Kind}}
		}
		out = append(out, p)
	}
	for i, h := range had {
		if !taken[i] {
			out = append(out, &Place{want: ground.Cloud{Kind: h.Kind, Region: h.Region, Profile: h.Profile}, had: h, known: true})
		}
	}
	return out
}

// pending says whether the cloud has not been seen to have what is wanted.
func (p *Place) pending() bool {
	return p.want.Sum() != p.had.Sum || p.known && p.want.Sum() == ""
}

// Concerns says whether a network is, or was, one of the cloud's.
func (p *Place) Concerns(name string) bool {
	return slices.ContainsFunc(p.want.Networks, func(n ground.CloudNetwork) bool { return n.Name == name })
}

// Ends says whether nothing is wanted any more of what was there.
func (p *Place) Ends() bool { return p.want.Sum() == "" && p.had.Sum != "" }

// Sum is of what is wanted.
func (p *Place) Sum() string { return p.want.Sum() }

// Key tells the clouds of a cluster apart.
func (p *Place) Key() string { return p.want.Kind + " " + p.want.Region + " " + p.want.Profile }

// names are how it is called in lists: by its tables, as far as they are known.
func (p *Place) names() []string {
	tables := p.diff.tables
	if len(tables) == 0 {
		tables = p.had.Tables
	}
	if len(tables) == 0 {
		tables = []string{placeless(p.want)}
	}
	var out []string
	for _, t := range tables {
		out = append(out, p.want.Kind+" "+t)
	}
	return out
}

// placeless stands for the tables of a cloud of which none is known.
func placeless(c ground.Cloud) string { return cmp.Or(c.Region, "region") }

// Pending are the names of clouds that have not been seen to have what is wanted.
func Pending(want []ground.Cloud, had []state.Cloud) []string {
	var out []string
	for _, p := range Places(want, had) {
		if p.pending() {
			out = append(out, p.names()...)
		}
	}
	return out
}

// plan looks, and finds out what is to be done. Errors are for results.
func (p *Place) plan(ctx context.Context, l Login, say func(name, line string)) {
	p.asked = true
	p.say = func(table, line string) { say(p.want.Kind+" "+table, line) }
	if p.api == nil {
		// Where nobody says a region, it is where rows were made, and not what the environment says by now.
		api, at, err := l.open(ctx, p.want.Kind, cmp.Or(p.want.Region, p.had.Region), p.want.Profile)
		if p.err = err; err != nil {
			return
		}
		p.api, p.had.Region = api, cmp.Or(p.want.Region, at)
	}
	p.err = p.look(ctx)
}

func (p *Place) look(ctx context.Context) error {
	q := Question{NICs: p.had.Checked, Tables: slices.Clone(p.had.Tables)}
	for _, n := range p.want.Networks {
		q.Members = append(q.Members, n.Members...)
		q.Tables = append(q.Tables, n.Tables...)
	}
	seen, err := p.api.Observe(ctx, q)
	if err != nil {
		return hint.With(err, p.want.Kind+" "+p.had.Region, "")
	}
	known := slices.ContainsFunc(seen.Tables, func(t Table) bool { return slices.Contains(p.had.Tables, t.ID) })
	if len(p.had.Tables) > 0 && !known && len(seen.NICs) == 0 {
		return hint.Errorf(p.want.Kind+" "+p.had.Region, "another account? --profile, AWS_PROFILE", "nothing of what was noted is there: %s", ground.Few(p.had.Tables))
	}
	usual, most := p.api.Limits()
	p.seen, p.diff, p.done, p.looked = seen, compare(p.want, p.had, seen, usual, most), map[int]bool{}, true
	return nil
}

// begun is the sum of a cloud that may lack what was noted: nobody has seen it since.
const begun = "begun"

// needs says whether servers need what the cloud was never seen to have.
func (p *Place) needs() bool {
	had := func(to netip.Prefix) bool {
		return slices.ContainsFunc(p.had.Routes, func(r state.CloudRoute) bool { return r.To == to })
	}
	return p.want.Sum() != "" && (p.had.Sum == "" || p.had.Sum == begun || slices.ContainsFunc(p.want.Networks, func(n ground.CloudNetwork) bool {
		return slices.ContainsFunc(n.Members, func(m memberOf) bool {
			return slices.ContainsFunc(m.Routed, func(to netip.Prefix) bool { return !had(to) })
		})
	}))
}

// idle says whether nothing is to be done.
func (p *Place) idle() bool { return p.err != nil || len(p.diff.ops) == 0 }

// steps are what is to be done, a line each.
func (p *Place) steps() string {
	var b strings.Builder
	for _, o := range p.diff.ops {
		fmt.Fprintln(&b, o.table, o.step)
	}
	return b.String()
}

// before is what is to be noted before anything is done: what the cloud may have of ours from
// then on. It is nil where it has, and gets, nothing.
func (p *Place) before() *state.Cloud {
	if !p.asked {
		if !p.known {
			return nil
		}
		return &p.had
	}
	out := p.noted()
	for _, r := range p.diff.wanted {
		if !slices.Contains(out.Routes, r) {
			out.Routes = append(out.Routes, r)
		}
	}
	for _, nic := range p.diff.checked {
		if !slices.Contains(out.Checked, nic) {
			out.Checked = append(out.Checked, nic)
		}
	}
	for _, t := range p.diff.tables {
		if !slices.Contains(out.Tables, t) {
			out.Tables = append(out.Tables, t)
		}
	}
	switch {
	case p.want.Sum() == "":
		out.Sum = "" // from now on it is pending, and no news
	case p.needs():
		out.Sum = begun
	}
	if !p.known && p.want.Sum() == "" {
		return nil
	}
	return &out
}

// noted is what was noted so far, by the login of now.
func (p *Place) noted() state.Cloud {
	out := p.had
	out.Profile = p.want.Profile
	if p.want.Region != "" {
		out.Region = p.want.Region
	}
	out.Routes, out.Checked, out.Tables = slices.Clone(out.Routes), slices.Clone(out.Checked), slices.Clone(out.Tables)
	return out
}

// noteAfter is what is to be noted when the change is over; nil: nothing of ours is there.
func (p *Place) noteAfter() *state.Cloud {
	if !p.finished() {
		return p.before()
	}
	if p.want.Sum() == "" {
		return nil
	}
	out := p.noted()
	out.Sum, out.Routes, out.Checked, out.Tables = p.want.Sum(), p.diff.wanted, p.diff.checked, nil
	for _, r := range out.Routes {
		if !slices.Contains(out.Tables, r.Table) {
			out.Tables = append(out.Tables, r.Table)
		}
	}
	slices.Sort(out.Tables)
	return &out
}

// finished says whether the cloud was seen to have what is wanted.
func (p *Place) finished() bool {
	return p.looked && p.err == nil && p.diff.missing == nil && len(p.diff.problems) == 0 && (len(p.diff.ops) == 0 || p.after)
}

// make does what is to be there before the servers use it.
func (p *Place) make(ctx context.Context) { _ = p.carry(ctx, false, nil) }

// clear takes away what no server uses any more, and looks whether all is as it should be.
func (p *Place) clear(ctx context.Context, spared []memberOf) {
	stays := p.carry(ctx, true, spared)
	if p.err == nil && stays != nil {
		p.err = stays
	}
	if p.err == nil && len(p.diff.ops) > 0 {
		p.err = p.confirm(ctx)
	}
}

// carry does a part; the error is about what stays because a server still needs it.
func (p *Place) carry(ctx context.Context, late bool, spared []memberOf) (stays error) {
	for i, o := range p.diff.ops {
		if p.err != nil || o.late() != late {
			continue
		}
		if at := slices.IndexFunc(spared, func(m memberOf) bool { return p.serves(o, m) }); late && at >= 0 {
			stays = hint.Errorf(p.want.Kind+" "+o.table, "flock apply", "%s stays as it was: %s was not changed", o.step.Object, spared[at].Server)
			continue
		}
		p.say(o.table, fmt.Sprintf("%d of %d: %s", i+1, len(p.diff.ops), o.step.Object))
		if err := p.do(ctx, o); err != nil {
			p.err = hint.With(fmt.Errorf("%s: %w", o.step.Object, err), p.want.Kind+" "+o.table, "flock apply")
			return stays
		}
		p.done[i] = true
	}
	return stays
}

// serves says whether what an op takes away is of use to a member.
func (p *Place) serves(o op, m memberOf) bool {
	if o.deed == remove {
		return !o.dead && slices.Contains(m.Routed, o.row.To)
	}
	return slices.ContainsFunc(p.seen.NICs, func(n NIC) bool { return n.ID == o.nic && slices.Contains(n.Addrs, m.Addr) })
}

func (p *Place) do(ctx context.Context, o op) error {
	switch o.deed {
	case create:
		return p.api.Create(ctx, o.row)
	case replace:
		return p.api.Replace(ctx, o.row)
	case remove:
		return p.api.Delete(ctx, o.row)
	case check, uncheck:
		return p.api.SetCheck(ctx, o.nic, o.deed == check)
	}
	return errors.New("nothing to do")
}

// looks is how often a cloud is asked whether it has what it was told, with these pauses: what
// one of its machines was told, another may not know yet.
var looks = []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// confirm looks until nothing is missing.
func (p *Place) confirm(ctx context.Context) error {
	was, had := p.diff, p.had
	usual, most := p.api.Limits()
	p.had = *cmp.Or(p.before(), &had) // what was made is ours
	defer func() { p.had, p.diff = had, was }()
	q := Question{NICs: p.had.Checked, Tables: p.had.Tables}
	for _, n := range p.want.Networks {
		q.Members = append(q.Members, n.Members...)
	}
	var remains []string
	for _, pause := range looks {
		if err := wait(ctx, pause); err != nil {
			return err
		}
		seen, err := p.api.Observe(ctx, q)
		if err != nil {
			return hint.With(err, p.want.Kind+" "+p.had.Region, "flock apply")
		}
		now := compare(p.want, p.had, seen, usual, most)
		if len(now.problems) > 0 {
			return now.problems[0]
		}
		if len(now.ops) == 0 {
			p.after = true
			return nil
		}
		remains = nil
		for _, o := range now.ops {
			remains = append(remains, o.step.String())
		}
	}
	return hint.Errorf(p.want.Kind+" "+p.had.Region, "flock apply", "after the change this was still to be done: %s", ground.Few(remains))
}

// results are what came of it, by table.
func (p *Place) results() []Result {
	if !p.asked {
		return nil
	}
	var out []Result
	for _, name := range p.names() {
		r := Result{Name: name, Seen: p.looked}
		if len(out) == 0 {
			r.Refused, r.Err = p.diff.problems, p.diff.missing // once
		}
		if p.looked {
			r.Plan = &spec.Plan{}
		}
		open := false
		for i, o := range p.diff.ops {
			if name != p.want.Kind+" "+o.table {
				continue
			}
			r.Plan.Steps = append(r.Plan.Steps, o.step)
			open = open || !p.done[i]
			if p.done[i] {
				if r.Report == nil {
					r.Report = &spec.Report{}
				}
				r.Report.Steps = append(r.Report.Steps, o.step)
			}
		}
		if p.err != nil && (open || !p.looked || len(p.done) == len(p.diff.ops)) {
			r.Err = p.err
		}
		out = append(out, r)
	}
	return out
}

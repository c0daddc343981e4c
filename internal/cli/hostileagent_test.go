package cli

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// hostileEnv makes this test binary an agent that behaves as the variable says; honest,
// or OP/NAME: as NAME of lies says when it is asked for OP.
const (
	hostileEnv = "FLOCK_TEST_HOSTILE"
	honest     = "honest"
	heldFile   = "held" // what an agent confirmed, in its directory
)

// liar is an agent that keeps what it confirmed in a file, touches nothing else, and
// lies about it where it is told to.
type liar struct {
	name, dir string
	conn      *wire.Conn
	applied   *spec.Host
}

// beHostile is the program of the agent. Its arguments are the server's name, its
// directory and the version that it was called by.
func beHostile(behaviour string, args []string) int {
	op, what, _ := strings.Cut(behaviour, "/")
	l := &liar{name: args[0], dir: args[1], conn: wire.NewConn(os.Stdin, os.Stdout)}
	if op == "greet" {
		return greetings[what](args[2])
	}
	if err := wire.Greet(os.Stdout, args[2]); err != nil {
		return 1
	}
	for {
		var r spec.Request
		if l.conn.Receive(&r) != nil {
			return 0
		}
		if r.Op == "alive" {
			continue
		}
		reply := l.answer(&r)
		lie := lies[what]
		if r.Op != op || lie.tell == nil {
			if l.conn.Send(reply) != nil {
				return 1
			}
			continue
		}
		if status, over := lie.tell(l, &r, reply); over {
			return status
		}
	}
}

func (l *liar) held() *spec.Host {
	data, err := os.ReadFile(filepath.Join(l.dir, heldFile))
	h := &spec.Host{}
	if err != nil || wire.Unmarshal(data, h) != nil {
		return nil
	}
	return h
}

func (l *liar) hold(h *spec.Host) {
	data, err := wire.Marshal(h)
	if err == nil {
		err = os.WriteFile(filepath.Join(l.dir, heldFile), data, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// answer is what an honest agent says.
func (l *liar) answer(r *spec.Request) *spec.Reply {
	out := &spec.Reply{Done: true}
	switch r.Op {
	case spec.OpPlan, spec.OpStatus:
		have := l.held()
		out.Facts, out.Plan = l.facts(), &spec.Plan{Sum: have.Sum(), Steps: l.steps(have, r.Want)}
	case spec.OpApply:
		l.applied = r.Want
		out.Report = &spec.Report{Steps: l.steps(l.held(), r.Want)}
	case spec.OpConfirm:
		l.hold(l.applied)
		out.Report = &spec.Report{Looked: l.applied.Empty()}
	case spec.OpPurge:
		_ = os.Remove(filepath.Join(l.dir, heldFile))
		out.Report = &spec.Report{Steps: []spec.Step{{Action: spec.Remove, Object: "link vxl0"}}, Looked: true}
	case spec.OpKeys:
		out.Keys = map[string]string{}
		for _, dev := range r.Keys {
			out.Keys[dev] = base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-32.32s", l.name+dev)))
		}
	}
	return out
}

func (l *liar) steps(have, want *spec.Host) []spec.Step {
	if have.Sum() == want.Sum() {
		return nil
	}
	return []spec.Step{{Action: spec.Change, Object: "link vxl0", Detail: "mtu 1 -> 2"}}
}

func (l *liar) facts() *spec.Facts {
	var n byte
	_, _ = fmt.Sscanf(l.name, "s%d", &n)
	at := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 24)
	return &spec.Facts{
		Machine: "machine " + l.name, Arch: "amd64", Default4: "eth0", WireGuard: spec.KernelDevice,
		Interfaces: []spec.Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{at}}},
	}
}

// greetings are agents that do not get as far as a request; how each ends.
var greetings = map[string]func(version string) int{
	"silent and gone":     func(string) int { return 0 },
	"another version":     func(string) int { _ = wire.Greet(os.Stdout, "deadbeef"); return 0 },
	"noise without end":   func(string) int { return say(strings.Repeat("\xff\x00x", 1<<20)) },
	"a greeting cut":      func(string) int { return say("\x00\xff\x00flo") },
	"a version too long":  func(string) int { return say("\x00\xff\x00flock/1 " + strings.Repeat("v", 1<<20)) },
	"a version of escape": func(string) int { return say("\x00\xff\x00flock/1 \x1b[2J\n") },
	"an error":            func(string) int { fmt.Fprint(os.Stderr, "\x1b[2Jno\n"); return 5 },
	"killed":              func(string) int { return 137 },
}

func say(text string) int {
	_, _ = os.Stdout.WriteString(text)
	return 0
}

// lie is one way not to answer a request. It may change the honest reply; with over the
// agent ends.
type lie struct {
	tell func(l *liar, r *spec.Request, honest *spec.Reply) (status int, over bool)
	at   []string // the operations it is told at
}

var (
	doing    = []string{spec.OpApply, spec.OpConfirm, spec.OpPurge}
	framesAt = []string{spec.OpPlan, spec.OpConfirm}
	looking  = []string{spec.OpPlan, spec.OpStatus}
	anything = []string{spec.OpPlan, spec.OpStatus, spec.OpKeys, spec.OpApply, spec.OpConfirm, spec.OpPurge}
)

// answering is a lie that changes the honest reply.
func answering(change func(r *spec.Reply)) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return func(l *liar, _ *spec.Request, honest *spec.Reply) (int, bool) {
		change(honest)
		if err := l.conn.Send(honest); err != nil {
			return 1, true
		}
		return 0, false
	}
}

// framed is a lie that sends a frame of body, whose length it says is size if not 0, and
// stays.
func framed(size int, body func() string) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return func(*liar, *spec.Request, *spec.Reply) (int, bool) {
		text := body()
		if size == 0 {
			size = len(text)
		}
		_ = say(string(binary.BigEndian.AppendUint32(nil, uint32(size))) + text)
		return 0, size > len(text)
	}
}

func text(s string) func() string { return func() string { return s } }

func report(change func(*spec.Report)) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return answering(func(r *spec.Reply) { change(r.Report) })
}

func facts(change func(*spec.Facts)) lie {
	return lie{tell: answering(func(r *spec.Reply) { change(r.Facts) }), at: []string{spec.OpPlan}}
}

const frame = `{"Done":true,"Plan":{"Steps":[`

// lies is the table.
var lies = map[string]lie{
	// Parts.
	"nothing":               {tell: answering(func(r *spec.Reply) { *r = spec.Reply{Done: true} }), at: anything},
	"an error":              {tell: answering(func(r *spec.Reply) { *r = spec.Reply{Done: true, Error: &spec.Problem{What: "no"}} }), at: anything},
	"an error beside":       {tell: answering(func(r *spec.Reply) { r.Error = &spec.Problem{What: "no"} }), at: anything},
	"an error of nothing":   {tell: answering(func(r *spec.Reply) { r.Error = &spec.Problem{} }), at: anything},
	"an error of escapes":   {tell: answering(func(r *spec.Reply) { r.Error = &spec.Problem{What: "\x1b[2J\u202e\nno", Next: "\x1b]0;x\a"} }), at: anything},
	"an error of a novel":   {tell: answering(func(r *spec.Reply) { r.Error = &spec.Problem{What: strings.Repeat("no ", 1<<20)} }), at: anything},
	"another question's":    {tell: answering(func(r *spec.Reply) { *r = spec.Reply{Done: true, BGP: &spec.BGPStatus{}} }), at: anything},
	"another one's as well": {tell: answering(func(r *spec.Reply) { r.Silent = []spec.Peer{{Key: "x"}} }), at: anything},
	"ways nobody asked for": {tell: answering(func(r *spec.Reply) { r.Unheard = []spec.Probe{{Link: "eth0"}} }), at: anything},
	"a plan for a report":   {tell: answering(func(r *spec.Reply) { *r = spec.Reply{Done: true, Plan: &spec.Plan{}} }), at: append([]string{spec.OpKeys}, doing...)},
	"a report for a plan":   {tell: answering(func(r *spec.Reply) { *r = spec.Reply{Done: true, Report: &spec.Report{Looked: true}} }), at: append([]string{spec.OpKeys}, looking...)},
	"facts alone":           {tell: answering(func(r *spec.Reply) { r.Plan, r.Report, r.Keys = nil, nil, nil }), at: anything},

	// Frames.
	"early close":         {tell: func(*liar, *spec.Request, *spec.Reply) (int, bool) { return 0, true }, at: framesAt},
	"an end with status":  {tell: func(*liar, *spec.Request, *spec.Reply) (int, bool) { return 3, true }, at: framesAt},
	"progress and an end": {tell: chatter(2000), at: framesAt},
	"a cut frame":         {tell: framed(1000, text(`{"Done":true`)), at: framesAt},
	"a length that lies":  {tell: framed(1<<26, text(`{"Done":true}`)), at: framesAt},
	"an enormous length":  {tell: framed(1<<32-1, text(`{}`)), at: framesAt},
	"a frame of nothing":  {tell: framed(0, func() string { return frame + strings.Repeat("{},", 63<<20/3) + `{}]}}` }), at: []string{spec.OpPlan, spec.OpApply}},
	"a deep frame":        {tell: framed(0, func() string { return `{"Done":true,"New":` + strings.Repeat("[", 1<<20) }), at: framesAt},
	"a deep closed frame": {tell: framed(0, func() string {
		return `{"Done":true,"New":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
	}), at: framesAt},
	"no UTF-8":       {tell: framed(0, text("{\"Done\":true,\"Progress\":\"\xff\xfe\"}")), at: framesAt},
	"no JSON":        {tell: framed(0, text(`<html>`)), at: framesAt},
	"a list":         {tell: framed(0, text(`[{"Done":true}]`)), at: framesAt},
	"other types":    {tell: framed(0, text(`{"Done":"true","Plan":[]}`)), at: framesAt},
	"null":           {tell: then(`null`), at: framesAt},
	"two in a frame": {tell: framed(0, text(`{"Done":true}{"Done":true}`)), at: framesAt},
	"an empty frame": {tell: framed(0, text(``)), at: framesAt},
	"a long number":  {tell: framed(0, func() string { return `{"Done":true,"Report":{"Left":` + strings.Repeat("9", 1<<20) + `}}` }), at: framesAt},
	"garbage after":  {tell: after("\x00\x00\x00\x05<htm"), at: []string{spec.OpPlan, spec.OpApply}},
	"two replies":    {tell: twice, at: []string{spec.OpPlan, spec.OpApply}},

	// Reports.
	"an error in it":           {tell: report(func(r *spec.Report) { r.Error = &spec.Problem{What: "no"} }), at: doing},
	"an empty error in it":     {tell: report(func(r *spec.Report) { r.Error = &spec.Problem{} }), at: doing},
	"both errors":              {tell: answering(func(r *spec.Reply) { r.Error, r.Report.Error = &spec.Problem{What: "a"}, &spec.Problem{What: "b"} }), at: doing},
	"pending steps":            {tell: report(func(r *spec.Report) { r.Pending = []spec.Step{{Action: spec.Add, Object: "link x"}} }), at: doing},
	"undone without a word":    {tell: report(func(r *spec.Report) { r.Undone = true }), at: doing},
	"less than nothing left":   {tell: report(func(r *spec.Report) { r.Left = -1 }), at: doing},
	"something left, unnamed":  {tell: report(func(r *spec.Report) { r.Left = 2 }), at: doing},
	"nothing left, and named":  {tell: report(func(r *spec.Report) { r.Remains = []string{"link x"} }), at: doing},
	"something left":           {tell: report(func(r *spec.Report) { r.Left, r.Remains = 1, []string{"link x"} }), at: []string{spec.OpPurge}},
	"did not look":             {tell: report(func(r *spec.Report) { r.Looked = false }), at: []string{spec.OpPurge}},
	"steps without objects":    {tell: report(func(r *spec.Report) { r.Steps = make([]spec.Step, 3) }), at: doing},
	"steps of another sort":    {tell: report(func(r *spec.Report) { r.Steps = []spec.Step{{Action: "rm", Object: "x"}} }), at: doing},
	"a step of a novel":        {tell: report(func(r *spec.Report) { r.Steps = []spec.Step{{Action: "+", Object: strings.Repeat("x", 1<<20)}} }), at: doing},
	"done without steps":       {tell: report(func(r *spec.Report) { r.Steps = nil }), at: []string{spec.OpApply}},
	"confirmed by itself":      {tell: report(func(r *spec.Report) { r.Confirmed = true }), at: []string{spec.OpConfirm, spec.OpPurge}},
	"a confirmation of a step": {tell: report(func(r *spec.Report) { r.Steps = []spec.Step{{Action: "+", Object: "x"}} }), at: []string{spec.OpConfirm}},

	// Plans.
	"a plan without facts":     {tell: answering(func(r *spec.Reply) { r.Facts = nil }), at: looking},
	"planned steps of nothing": {tell: answering(func(r *spec.Reply) { r.Plan.Steps = make([]spec.Step, 2) }), at: looking},
	"a planned step of a novel": {tell: answering(func(r *spec.Reply) {
		r.Plan.Steps = []spec.Step{{Action: "+", Object: "x", Detail: strings.Repeat("x", 1<<20)}}
	}), at: looking},
	"a problem of nothing":  {tell: answering(func(r *spec.Reply) { r.Plan.Problems = make([]spec.Problem, 1) }), at: looking},
	"leases below zero":     {tell: answering(func(r *spec.Reply) { r.Plan.Pools = []spec.PoolUse{{Network: "vx1", Used: -1, Size: -2}} }), at: looking},
	"leases of nobody":      {tell: answering(func(r *spec.Reply) { r.Plan.Pools = make([]spec.PoolUse, 1) }), at: looking},
	"keys nobody asked for": {tell: answering(func(r *spec.Reply) { r.Keys = map[string]string{"wg-x": "x"} }), at: looking},

	// Facts.
	"an architecture of dots":   facts(func(f *spec.Facts) { f.Arch = "../../x" }),
	"no architecture":           facts(func(f *spec.Facts) { f.Arch = "" }),
	"an architecture of shell":  facts(func(f *spec.Facts) { f.Arch = "$(reboot)" }),
	"another init":              facts(func(f *spec.Facts) { f.Init = "[Service]\nExecStart=x" }),
	"a device of escapes":       facts(func(f *spec.Facts) { f.Interfaces[0].Name = "\x1b[2J" }),
	"a device of a path":        facts(func(f *spec.Facts) { f.Default4 = "../../etc" }),
	"no address":                facts(func(f *spec.Facts) { f.Interfaces[0].Addrs = make([]netip.Prefix, 1) }),
	"an MTU below zero":         facts(func(f *spec.Facts) { f.Interfaces[0].MTU = -1 }),
	"a device twice":            facts(func(f *spec.Facts) { f.Interfaces = append(f.Interfaces, f.Interfaces[0]) }),
	"very many devices":         facts(func(f *spec.Facts) { f.Interfaces = make([]spec.Interface, 10000) }),
	"a machine of a novel":      facts(func(f *spec.Facts) { f.Machine = strings.Repeat("x", 1<<20) }),
	"a machine of lines":        facts(func(f *spec.Facts) { f.Machine = "a\nb" }),
	"WireGuard of another sort": facts(func(f *spec.Facts) { f.WireGuard = "yes" }),
	"a metric below zero":       facts(func(f *spec.Facts) { f.Metric4 = -7 }),

	// Keys.
	"no keys":          {tell: answering(func(r *spec.Reply) { r.Keys = nil }), at: []string{spec.OpKeys}},
	"keys of nothing":  {tell: keys(func(string) string { return "" }), at: []string{spec.OpKeys}},
	"keys of text":     {tell: keys(func(string) string { return "key\nPostUp = reboot" }), at: []string{spec.OpKeys}},
	"short keys":       {tell: keys(func(k string) string { return k[:8] }), at: []string{spec.OpKeys}},
	"keys of too much": {tell: keys(func(k string) string { return strings.Repeat(k, 1000) }), at: []string{spec.OpKeys}},
	"a key beside":     {tell: answering(func(r *spec.Reply) { r.Keys["wg-other"] = r.Keys["wg-wirex"] }), at: []string{spec.OpKeys}},
	"another's key":    {tell: answering(func(r *spec.Reply) { r.Keys = map[string]string{"wg-other": r.Keys["wg-wirex"]} }), at: []string{spec.OpKeys}},
}

func keys(change func(string) string) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return answering(func(r *spec.Reply) {
		for dev, key := range r.Keys {
			r.Keys[dev] = change(key)
		}
	})
}

// then sends a frame that is no final reply, and ends.
func then(body string) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return func(l *liar, r *spec.Request, honest *spec.Reply) (int, bool) {
		framed(0, text(body))(l, r, honest)
		return 0, true
	}
}

// chatter tells of progress and never answers.
func chatter(lines int) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return func(l *liar, _ *spec.Request, honest *spec.Reply) (int, bool) {
		for i := range lines {
			if l.conn.Send(&spec.Reply{Progress: fmt.Sprint("\x1b[2J", i)}) != nil {
				return 1, true
			}
		}
		return 0, true
	}
}

// after sends what is no frame behind the honest reply.
func after(garbage string) func(*liar, *spec.Request, *spec.Reply) (int, bool) {
	return func(l *liar, _ *spec.Request, honest *spec.Reply) (int, bool) {
		_ = l.conn.Send(honest)
		_ = say(garbage)
		return 0, false
	}
}

func twice(l *liar, _ *spec.Request, honest *spec.Reply) (int, bool) {
	_ = l.conn.Send(honest)
	_ = l.conn.Send(honest)
	return 0, false
}

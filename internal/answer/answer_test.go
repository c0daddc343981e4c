package answer

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

var (
	facts = &spec.Facts{Arch: "amd64", Hostname: "s1"}
	step  = spec.Step{Action: spec.Add, Object: "link vx1"}
	echo  = spec.Echo{From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.0.2"), MTU: 1450}
	bulk  = spec.Bulk{From: echo.From, To: echo.To, Port: 5001}
	probe = spec.Probe{Link: "vx1", To: echo.To}
	peer  = spec.Peer{Key: strings.Repeat("A", 43) + "=", Endpoint: "192.0.2.2:51820"}
	asked = map[string]*spec.Request{
		spec.OpPlan: {Keys: []string{"wg0"}}, spec.OpApply: {Settle: true}, spec.OpKeys: {Keys: []string{"wg0"}},
		spec.OpHandshake: {Peers: []spec.Peer{peer}}, spec.OpProbe: {Probes: []spec.Probe{probe}}, spec.OpStatus: {Probes: []spec.Probe{probe}}, spec.OpMeasure: {Echoes: []spec.Echo{echo}},
		spec.OpBulk: {Bulk: &spec.BulkRequest{At: []netip.Addr{echo.To}, Flows: []spec.Bulk{bulk}}},
	}
)

func check(op string, reply *spec.Reply) error {
	req := &spec.Request{}
	if asked[op] != nil {
		*req = *asked[op]
	}
	req.Op = op
	return Check("s1", req, reply)
}

// believed are answers in which nothing is wrong, by what was asked.
func believed() map[string]*spec.Reply {
	plan := &spec.Plan{Steps: []spec.Step{step}, Pools: []spec.PoolUse{{Network: "n1", Used: 1, Size: 9}}}
	return map[string]*spec.Reply{
		spec.OpFacts:     {Facts: facts},
		spec.OpPlan:      {Facts: facts, Plan: plan, Keys: map[string]string{"wg0": peer.Key}},
		spec.OpStatus:    {Plan: &spec.Plan{Problems: []spec.Problem{{What: "no"}}}, Unheard: []spec.Probe{probe}, Probed: true},
		spec.OpApply:     {Report: &spec.Report{Steps: []spec.Step{step}, Confirmed: true, Left: 1, Remains: []string{"link vx1"}}},
		spec.OpConfirm:   {Report: &spec.Report{}},
		spec.OpPurge:     {Report: &spec.Report{Looked: true, Steps: []spec.Step{step}}},
		spec.OpKeys:      {Keys: map[string]string{"wg0": peer.Key}},
		spec.OpHandshake: {Silent: []spec.Peer{peer}},
		spec.OpProbe:     {Unheard: []spec.Probe{probe}},
		spec.OpMeasure:   {Echoes: []spec.Echoed{{Echo: echo, Sent: 3, Heard: 3, Min: 1, Median: 2, Passes: 1450}}},
		spec.OpBulk:      {Bulk: &spec.BulkReply{Ports: []int{5001}, Flows: []spec.Flowed{{Bulk: bulk, Out: 1, Back: 1}}}},
		spec.OpBGP:       {BGP: &spec.BGPStatus{}},
	}
}

// The answer to one question is believed, and to no other.
func TestOnlyWhatWasAskedForIsBelieved(t *testing.T) {
	for op, reply := range believed() {
		for other := range believed() {
			err := check(other, reply)
			if other == op && err != nil {
				t.Errorf("%s: %v", op, err)
			}
			// A report and a plan answer several questions; all else belongs to one.
			if shared := reply.Report != nil || reply.Plan != nil; other != op && !shared && err == nil {
				t.Errorf("the answer to %s is taken for one to %s", op, other)
			}
		}
	}
	if check(spec.OpPlan, nil) == nil {
		t.Error("no answer is an answer")
	}
}

// Each of these says one thing that cannot be.
func TestWhatCannotBeIsNotBelieved(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for what, c := range map[string]struct {
		op    string
		spoil func(*spec.Reply)
	}{
		"no plan":                 {spec.OpPlan, func(r *spec.Reply) { r.Plan = nil }},
		"no facts":                {spec.OpPlan, func(r *spec.Reply) { r.Facts = nil }},
		"facts of no computer":    {spec.OpPlan, func(r *spec.Reply) { r.Facts = &spec.Facts{Arch: "abacus"} }},
		"an action that is two":   {spec.OpPlan, func(r *spec.Reply) { r.Plan.Steps = []spec.Step{{Action: spec.Add + spec.Change, Object: "x"}} }},
		"a step too long":         {spec.OpPlan, func(r *spec.Reply) { r.Plan.Steps = []spec.Step{{Action: spec.Add, Object: "x", Detail: long}} }},
		"a problem that is not":   {spec.OpStatus, func(r *spec.Reply) { r.Plan.Problems = []spec.Problem{{Next: "x"}} }},
		"leases less than none":   {spec.OpPlan, func(r *spec.Reply) { r.Plan.Pools[0].Used = -1 }},
		"a key of nobody":         {spec.OpPlan, func(r *spec.Reply) { r.Keys = map[string]string{"wg1": peer.Key} }},
		"a key that is none":      {spec.OpPlan, func(r *spec.Reply) { r.Keys = map[string]string{"wg0": "AAAA"} }},
		"no report":               {spec.OpApply, func(r *spec.Reply) { r.Report = nil }},
		"a step without object":   {spec.OpApply, func(r *spec.Reply) { r.Report.Steps = []spec.Step{{Action: spec.Add}} }},
		"what differs still":      {spec.OpApply, func(r *spec.Reply) { r.Report.Pending = []spec.Step{step} }},
		"undone":                  {spec.OpApply, func(r *spec.Reply) { r.Report.Undone = true }},
		"a count that is wrong":   {spec.OpApply, func(r *spec.Reply) { r.Report.Left = 2 }},
		"steps of a confirm":      {spec.OpConfirm, func(r *spec.Reply) { r.Report.Steps = []spec.Step{step} }},
		"confirmed by nobody":     {spec.OpConfirm, func(r *spec.Reply) { r.Report.Confirmed = true }},
		"a purge without look":    {spec.OpPurge, func(r *spec.Reply) { r.Report.Looked = false }},
		"a purge with remains":    {spec.OpPurge, func(r *spec.Reply) { r.Report.Left, r.Report.Remains = 1, []string{"link vx1"} }},
		"a key missing":           {spec.OpKeys, func(r *spec.Reply) { r.Keys = nil }},
		"a key too many":          {spec.OpKeys, func(r *spec.Reply) { r.Keys["wg1"] = peer.Key }},
		"a peer of others":        {spec.OpHandshake, func(r *spec.Reply) { r.Silent[0].Endpoint = "192.0.2.3:1" }},
		"a path of others":        {spec.OpProbe, func(r *spec.Reply) { r.Unheard[0].Link = "vx2" }},
		"another path of others":  {spec.OpStatus, func(r *spec.Reply) { r.Unheard[0].Link = "vx2" }},
		"more heard than sent":    {spec.OpMeasure, func(r *spec.Reply) { r.Echoes[0].Heard = 4 }},
		"an echo too few":         {spec.OpMeasure, func(r *spec.Reply) { r.Echoes = nil }},
		"percentiles in disorder": {spec.OpMeasure, func(r *spec.Reply) { r.Echoes[0].P90, r.Echoes[0].P99 = 5, 4 }},
		"a packet too large":      {spec.OpMeasure, func(r *spec.Reply) { r.Echoes[0].Passes = 1451 }},
		"a port that is none":     {spec.OpBulk, func(r *spec.Reply) { r.Bulk.Ports[0] = 65536 }},
		"a flow of others":        {spec.OpBulk, func(r *spec.Reply) { r.Bulk.Flows[0].Bulk.Port++ }},
		"exchanges unasked":       {spec.OpBGP, func(r *spec.Reply) { r.BGP.Exchanges = []spec.BGPExchange{{Addr: echo.To}} }},
		"an error of nothing":     {spec.OpApply, func(r *spec.Reply) { r.Error = &spec.Problem{} }},
	} {
		reply := believed()[c.op]
		c.spoil(reply)
		err := check(c.op, reply)
		if err == nil {
			t.Errorf("%s: it is believed", what)
			continue
		}
		if where, next := hint.Of(err); where != "server s1" || next == "" {
			t.Errorf("%s: %v, where %q, next %q", what, err, where, next)
		}
	}
}

// What a server could not do is told with what is left there.
func TestFailureNamesWhatIsLeft(t *testing.T) {
	err := check(spec.OpApply, &spec.Reply{Report: &spec.Report{
		Left: 6, Remains: []string{"a", "b", "c", "d", "e", "f"}, Error: &spec.Problem{What: "disk full", Where: "/var", Next: "flock apply"},
	}})
	where, next := hint.Of(err)
	if err == nil || err.Error() != "disk full; 6 objects are left on s1: a, b, c, d and 2 more" || where != "server s1, /var" || next != "flock apply" {
		t.Errorf("have %v, where %q, next %q", err, where, next)
	}
}

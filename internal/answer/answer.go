// Package answer is what the workstation believes of what an agent says (pure): whether an
// answer is complete, possible and about what was asked, and how its errors and its advice
// are told. It owns the bounds of what is believed; it refuses to ask.
package answer

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// An answer is accepted only if it is complete: it has the part that was asked for and
// no other, reports no failure in either of the two places, and its values are possible.
// This file decides that for all operations; callers get accepted answers.

// Check is the error about a server's answer that is incomplete or reports a failure, with
// where and what next (hint); nil: the server did what was requested.
func Check(server string, req *spec.Request, reply *spec.Reply) error {
	switch {
	case reply == nil:
		return unbelieved(server, req.Op, "it is empty")
	case reply.Error != nil:
		return complaint(server, req.Op, reply.Error)
	}
	if part := strayPart(req.Op, reply); part != "" {
		return unbelieved(server, req.Op, "it has "+part+", which nobody asked for")
	}
	if slices.ContainsFunc(reply.Unheard, func(q spec.Probe) bool { return !slices.Contains(req.Probes, q) }) {
		return unbelieved(server, req.Op, "it names paths that it was not asked to probe")
	}
	switch req.Op {
	case spec.OpPlan, spec.OpStatus:
		return planned(server, req, reply)
	case spec.OpApply, spec.OpConfirm, spec.OpPurge:
		return reported(server, req, reply.Report)
	case spec.OpKeys:
		return keysNamed(server, req, reply.Keys)
	}
	if text := astray(req, reply); text != "" {
		return unbelieved(server, req.Op, text)
	}
	return nil
}

// astray says what is wrong with an answer that is about something else than what was asked; ""
// where it is not.
func astray(req *spec.Request, reply *spec.Reply) string {
	switch req.Op {
	case spec.OpHandshake:
		for _, q := range reply.Silent {
			if !slices.ContainsFunc(req.Peers, func(p spec.Peer) bool { return p.Key == q.Key && p.Endpoint == q.Endpoint }) {
				return "it names peers that it was not asked about"
			}
		}
	case spec.OpBGP:
		if strayPeers(req.BGP, reply.BGP) {
			return "it is about neighbors that nobody asked for"
		}
	case spec.OpBulk:
		if req.Bulk == nil || reply.Bulk == nil || !flowed(req.Bulk, reply.Bulk) {
			return "it is about other data"
		}
	case spec.OpUnderlay:
		if reply.Underlay == nil {
			return "it says nothing of what is below the networks"
		}
	case spec.OpDoctor:
		if d := reply.Doctor; d == nil || req.Doctor != nil && len(d.Ran) != len(req.Doctor.Run) {
			return "it does not say how all that was asked for ended"
		}
	case spec.OpTrace:
		if req.Trace == nil || reply.Trace == nil || (req.Trace.Inside == "" || !reply.Trace.Stopped) && len(reply.Trace.Answers) != len(req.Trace.Questions) {
			return "it leaves questions open"
		}
	case spec.OpCopies:
		if slices.ContainsFunc(reply.Copies, incredible) {
			return "it says of a cluster what cannot be"
		}
	case spec.OpCapture:
		if c := reply.Capture; c == nil || c.Lost < 0 || c.Took < 0 {
			return "it says nothing of packets"
		}
	case spec.OpMeasure:
		if !slices.EqualFunc(req.Echoes, reply.Echoes, credible) {
			return "it measured something else"
		}
	}
	return ""
}

// strayPeers says whether a daemon's answer lists other neighbours than those that it was
// asked for, or not all of these.
func strayPeers(asked *spec.BGPRequest, answer *spec.BGPStatus) bool {
	if answer == nil {
		return false // there is no daemon
	}
	var listed, deaf []netip.Addr
	for _, e := range answer.Exchanges {
		listed = append(listed, e.Addr)
	}
	if asked == nil {
		return len(listed)+len(answer.Deaf) > 0
	}
	if asked.Op == spec.BGPRoutes {
		return !slices.Equal(listed, asked.Peers) || len(answer.Deaf) > 0
	}
	deaf = slices.DeleteFunc(slices.Clone(answer.Deaf), func(a netip.Addr) bool { return slices.Contains(asked.Peers, a) })
	return len(listed)+len(deaf) > 0
}

// strayPart names a part of reply that does not belong in an answer to op; "" if there
// is none.
func strayPart(op string, reply *spec.Reply) string {
	plans := op == spec.OpPlan || op == spec.OpStatus
	for _, part := range []struct {
		what   string
		stands bool
		of     bool
	}{
		{"facts", reply.Facts != nil, plans || op == spec.OpFacts},
		{"a plan", reply.Plan != nil, plans},
		{"a report", reply.Report != nil, op == spec.OpApply || op == spec.OpConfirm || op == spec.OpPurge},
		{"keys", len(reply.Keys) > 0, plans || op == spec.OpKeys},
		{"silent peers", len(reply.Silent) > 0, op == spec.OpHandshake},
		{"paths", len(reply.Unheard) > 0 || reply.Probed, op == spec.OpProbe || op == spec.OpStatus},
		{"echoes", len(reply.Echoes)+len(reply.Callers) > 0, op == spec.OpMeasure},
		{"bulk data", reply.Bulk != nil, op == spec.OpBulk},
		{"packets", reply.Underlay != nil, op == spec.OpUnderlay},
		{"what is beside flock", reply.Doctor != nil, op == spec.OpDoctor},
		{"a trace", reply.Trace != nil, op == spec.OpTrace},
		{"captured packets", reply.Capture != nil, op == spec.OpCapture},
		{"copies of cluster files", len(reply.Copies) > 0, op == spec.OpCopies},
		{"a BGP status", reply.BGP != nil, op == spec.OpBGP},
	} {
		if part.stands && !part.of {
			return part.what
		}
	}
	return ""
}

// planned checks the answer to a plan: a plan, and possible facts. A server that refuses
// may omit its facts.
func planned(server string, req *spec.Request, reply *spec.Reply) error {
	plan := reply.Plan
	if plan == nil {
		return unbelieved(server, req.Op, "it has no plan")
	}
	if reply.Facts == nil && len(plan.Problems) == 0 {
		return unbelieved(server, req.Op, "it does not say what the server is like")
	}
	if reply.Facts != nil {
		if err := spec.CheckFacts(reply.Facts); err != nil {
			return unbelieved(server, req.Op, "it says of the server what cannot be: "+err.Error())
		}
	}
	if bad := badStep(plan.Steps); bad != "" {
		return unbelieved(server, req.Op, bad)
	}
	if slices.ContainsFunc(plan.Problems, func(p spec.Problem) bool { return p.What == "" || len(p.What) > maxText }) {
		return unbelieved(server, req.Op, "it has a problem that says nothing")
	}
	if slices.ContainsFunc(plan.Pools, func(u spec.PoolUse) bool { return u.Network == "" || u.Used < 0 || u.Size < 0 }) {
		return unbelieved(server, req.Op, "it has leases that cannot be counted")
	}
	for device, key := range reply.Keys {
		if !slices.Contains(req.Keys, device) || !isKey(key) {
			return unbelieved(server, req.Op, "it names keys that it was not asked for, or that are none")
		}
	}
	return nil
}

// reported checks a server's report of what it did.
func reported(server string, req *spec.Request, report *spec.Report) error {
	switch {
	case report == nil:
		return unbelieved(server, req.Op, "it has no report")
	case report.Error != nil:
		return errorWithRest(server, complaint(server, req.Op, report.Error), report)
	case badStep(report.Steps) != "":
		return unbelieved(server, req.Op, badStep(report.Steps))
	case len(report.Pending) > 0:
		return hint.Errorf("server "+server, "flock status",
			"%s does not converge: this differs again and again, somebody else or the kernel changes it back: %s", server, spec.FewSteps(report.Pending))
	case report.Undone:
		return unbelieved(server, req.Op, "it says that the server went back to what it was, and not why")
	case report.Left < 0 || len(report.Remains) != min(report.Left, spec.RemainsMax):
		return unbelieved(server, req.Op, fmt.Sprintf("it counts %d objects that are left and names %d", report.Left, len(report.Remains)))
	case req.Op == spec.OpConfirm && len(report.Steps) > 0:
		return unbelieved(server, req.Op, "it is about steps, which nobody asked for")
	case report.Confirmed && !req.Settle:
		return unbelieved(server, req.Op, "it was confirmed by nobody")
	case req.Op == spec.OpPurge:
		return NothingRemains(server, report)
	}
	return nil
}

// NothingRemains is the error about a server that should have nothing of flock's: it
// must say that it looked, and that nothing was there.
func NothingRemains(server string, report *spec.Report) error {
	switch {
	case report.Left > 0:
		return hint.Errorf("server "+server, "flock purge "+server, "%s", restOf(server, report))
	case !report.Looked:
		return hint.Errorf("server "+server, "flock purge "+server, "%s did not look whether anything is left on it", server)
	}
	return nil
}

func restOf(server string, report *spec.Report) string {
	return fmt.Sprintf("%d objects are left on %s: %s", report.Left, server, ground.Few(report.Remains))
}

// errorWithRest adds what remains to an error, if the server named it.
func errorWithRest(server string, err error, report *spec.Report) error {
	if report.Left <= 0 {
		return err
	}
	where, next := hint.Of(err)
	return hint.With(fmt.Errorf("%w; %s", err, restOf(server, report)), where, next)
}

// keysNamed checks the answer to keys: one for each device, and no other.
func keysNamed(server string, req *spec.Request, keys map[string]string) error {
	for _, device := range req.Keys {
		if !isKey(keys[device]) {
			return hint.Errorf("server "+server, "flock apply", "%s reported no key for %s", server, device)
		}
	}
	if len(keys) != len(req.Keys) {
		return unbelieved(server, req.Op, "it names keys that it was not asked for")
	}
	return nil
}

// isKey says whether s is a WireGuard public key: 32 bytes in base64.
func isKey(s string) bool {
	key, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && len(key) == 32 && len(s) == 44
}

// maxText is the longest text of a step or a problem, in bytes.
const maxText = 64 << 10

// badStep describes what is wrong with steps; "" if nothing is.
func badStep(steps []spec.Step) string {
	for _, s := range steps {
		switch {
		case s.Object == "" || !strings.Contains(spec.Add+spec.Change+spec.Remove, s.Action) || len(s.Action) != 1:
			return "it has a step that is none"
		case len(s.Object)+len(s.Detail) > maxText:
			return "it has a step that no line holds"
		}
	}
	return ""
}

// complaint is the failure that a server reports.
func complaint(server, op string, p *spec.Problem) error {
	if p.What == "" || len(p.What)+len(p.Where)+len(p.Next) > maxText {
		return unbelieved(server, op, "it is an error that says nothing")
	}
	return Problem(server, p)
}

// DidNothing is the error about a server that reports success without a step, while these
// are left.
func DidNothing(server string, left []spec.Step) error {
	return unbelieved(server, spec.OpApply, "it did nothing, and this differs: "+spec.FewSteps(left))
}

// unbelieved is the error about an answer that contradicts itself.
func unbelieved(server, op, why string) error {
	return hint.Errorf("server "+server, "flock status", "%s: the answer to %s is not valid: %s", server, op, why)
}

// flowed says whether have can be an answer to asked.
func flowed(asked *spec.BulkRequest, have *spec.BulkReply) bool {
	return len(have.Ports) == len(asked.At) &&
		!slices.ContainsFunc(have.Ports, func(p int) bool { return p < 0 || p > 65535 }) &&
		slices.EqualFunc(asked.Flows, have.Flows, func(b spec.Bulk, f spec.Flowed) bool {
			return f.Bulk == b && f.Out >= 0 && f.Back >= 0 && f.Took >= 0
		})
}

// credible says whether have can be an answer to asked.
func credible(asked spec.Echo, have spec.Echoed) bool {
	return have.Echo == asked && have.Heard >= 0 && have.Heard <= have.Sent && have.Passes >= 0 && have.Passes <= asked.MTU &&
		have.Min >= 0 && have.Min <= have.Median && (have.P90 == 0 || have.Median <= have.P90 && have.P90 <= have.P99)
}

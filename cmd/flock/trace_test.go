//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/vm"
)

// A plan is what an apply does. Every change of every walk is held against the plan
// that it was approved by and, natively, against a dry run just before it. A walk sets
// DRY_RUNS=none where something happens in between by design, and DRY_RUNS=vm where it runs
// in the VM alone: there each command takes seconds.

// traced is a change as FLOCK_TRACE tells of it.
type traced struct {
	Args    []string          `json:"args"`
	DryRun  bool              `json:"dry_run"`
	Keys    map[string]string `json:"keys"`
	Servers []tracedServer    `json:"servers"`
}

type tracedServer struct {
	Name   string      `json:"name"`
	State  string      `json:"state"`
	Plan   []spec.Step `json:"plan"`
	Report []spec.Step `json:"report"`
}

// tracePath is where a script's flock tells of its changes.
func tracePath(work string) string { return filepath.Join(work, "trace.jsonl") }

// rehearsal is the dry run before a command; nil: none was made.
type rehearsal struct {
	plan *traced // nil: it was refused, or came to nothing
	err  error
}

// rehearse makes the dry run of a command that changes something; nil where it is none.
func (w *walk) rehearse(ctx context.Context, ts *testscript.TestScript, args []string) (*rehearsal, error) {
	asked := ts.Getenv("DRY_RUNS")
	switch {
	case asked == "none", vm.Inside() && asked != "vm":
		return nil, nil
	case !cli.Changes(args), slices.Contains(args, "--dry-run"), slices.Contains(args, "-"): // standard input is read once
		return nil, nil
	}
	args = append([]string{"--dry-run", "-o", "json"}, args...)
	err := w.exec(ctx, ts, lab.Laptop, append([]string{"flock"}, args...)...)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	if err := asDocumented(ts, args); err != nil {
		return nil, err
	}
	list, readErr := w.traces()
	if readErr != nil || err != nil || len(list) == 0 {
		return &rehearsal{err: err}, readErr
	}
	return &rehearsal{plan: list[len(list)-1]}, nil
}

// traces are the changes since the last call.
func (w *walk) traces() ([]*traced, error) {
	data, err := os.ReadFile(tracePath(w.work))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fresh := data[w.traced:]
	w.traced = len(data)
	var out []*traced
	for line := range bytes.Lines(fresh) {
		t := &traced{}
		if err := json.Unmarshal(line, t); err != nil {
			return nil, fmt.Errorf("read the trace: %w", err)
		}
		out = append(out, t)
	}
	return out, nil
}

// asPlanned holds the changes since the last call against their plans, and against the
// dry run before.
func (w *walk) asPlanned(dry *rehearsal) error {
	list, err := w.traces()
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.DryRun {
			continue
		}
		for _, s := range t.Servers {
			if s.State != "done" && s.State != "unchanged" {
				continue // it did not get to the end
			}
			if diff := stepsDiffer(t.net(s.Plan), t.net(s.Report)); diff != "" {
				return fmt.Errorf("flock %s: %s did not do what was planned:\n%s", strings.Join(t.Args, " "), s.Name, diff)
			}
			if dry == nil || dry.plan == nil {
				continue
			}
			at := slices.IndexFunc(dry.plan.Servers, func(d tracedServer) bool { return d.Name == s.Name })
			var planned []spec.Step
			if at >= 0 {
				planned = dry.plan.Servers[at].Plan
			}
			if diff := stepsDiffer(dry.plan.net(planned), t.net(s.Report)); diff != "" {
				return fmt.Errorf("flock %s: %s did not do what the dry run said:\n%s", strings.Join(t.Args, " "), s.Name, diff)
			}
		}
	}
	return nil
}

// net is what steps come to, by object: of several about one object, of which those of
// a change in several steps are, the action that all of them make.
func (t *traced) net(steps []spec.Step) map[string]spec.Step {
	out := map[string]spec.Step{}
	for _, s := range steps {
		s.Object, s.Detail = t.named(s.Object), t.named(s.Detail)
		before, again := out[s.Object]
		switch {
		case !again:
			out[s.Object] = s
		case before.Action == spec.Add && s.Action == spec.Remove:
			delete(out, s.Object)
		case before.Action == spec.Add:
			out[s.Object] = spec.Step{Action: spec.Add, Object: s.Object}
		case s.Action == spec.Remove:
			out[s.Object] = spec.Step{Action: spec.Remove, Object: s.Object}
		default:
			out[s.Object] = spec.Step{Action: spec.Change, Object: s.Object}
		}
	}
	return out
}

// passwordID is the random name of a password.
var passwordID = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// named calls keys by their owners, as a dry run does.
func (t *traced) named(text string) string {
	for key, server := range t.Keys {
		for _, short := range []string{key, spec.ShortKey(key)} {
			text = strings.ReplaceAll(text, short, spec.PlannedKey(server))
		}
	}
	return passwordID.ReplaceAllString(text, "ID")
}

// stepsDiffer says what is in one of two and not in the other.
func stepsDiffer(planned, done map[string]spec.Step) string {
	var out []string
	for object, p := range planned {
		d, ok := done[object]
		switch {
		case !ok:
			out = append(out, "planned, not done: "+p.String())
		case p.Action != d.Action || p.Detail != d.Detail && p.Detail != "" && d.Detail != "":
			out = append(out, "planned: "+p.String()+"\n   done: "+d.String())
		}
	}
	for object, d := range done {
		if _, ok := planned[object]; !ok {
			out = append(out, "done, not planned: "+d.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// loginInVM is how long a server may take to let flock in there.
const loginInVM = "1m"

// verbFlock runs flock on the laptop, and holds what it did against what it planned.
func verbFlock(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if _, err := w.traces(); err != nil { // of commands that were run otherwise
		return err
	}
	typed := args
	if vm.Inside() && !slices.Contains(args, "--timeout") { // a login takes more than 15 s there, where the machine is busy
		args = append(slices.Clone(args), "--timeout", loginInVM)
	}
	dry, err := w.rehearse(ctx, ts, args)
	if err != nil {
		return err
	}
	err = w.exec(ctx, ts, lab.Laptop, append([]string{"flock"}, args...)...)
	w.advice.hold(ctx, ts, typed)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	if undocumented := asDocumented(ts, args); undocumented != nil {
		return undocumented
	}
	if err == nil && dry != nil && dry.err != nil {
		return fmt.Errorf("flock %s went through, its dry run did not: %w", strings.Join(args, " "), dry.err)
	}
	return cmp.Or(w.asPlanned(dry), err)
}

// The comparison finds each way in which a plan can be wrong.
func TestStepsDiffer(t *testing.T) {
	plan := &traced{Keys: map[string]string{"(key of s2, made on apply)": "s2"}}
	done := &traced{Keys: map[string]string{"AAAABBBBCCCCDDDD=": "s2"}}
	step := func(action, object, detail string) spec.Step {
		return spec.Step{Action: action, Object: object, Detail: detail}
	}
	for _, test := range []struct {
		planned, done []spec.Step
		want          string
	}{
		{nil, nil, ""},
		{[]spec.Step{step("+", "link vxl0", "a")}, []spec.Step{step("+", "link vxl0", "a")}, ""},
		{[]spec.Step{step("+", "link vxl0", "a")}, nil, "planned, not done: + link vxl0: a"},
		{nil, []spec.Step{step("-", "link vxl0", "")}, "done, not planned: - link vxl0"},
		{[]spec.Step{step("~", "link vxl0", "a")}, []spec.Step{step("~", "link vxl0", "b")}, "planned: ~ link vxl0: a\n   done: ~ link vxl0: b"},
		{[]spec.Step{step("+", "peer wg (key of s2, made on apply)", "")}, []spec.Step{step("+", "peer wg AAAABBBB…", "")}, ""},
		{[]spec.Step{step("~", "route r", "a -> b")}, []spec.Step{step("-", "route r", ""), step("+", "route r", "b")}, ""},
		{nil, []spec.Step{step("+", "route r", ""), step("-", "route r", "")}, ""},
	} {
		if have := stepsDiffer(plan.net(test.planned), done.net(test.done)); have != test.want {
			t.Errorf("%v, %v: want %q, have %q", test.planned, test.done, test.want, have)
		}
	}
}

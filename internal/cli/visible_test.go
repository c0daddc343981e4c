package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// nasty is what a server may say.
const nasty = "bad\x1b[2J\nflock: all is well\r\u202eevil\u2066\x9b\x07\u009b1m"

// TestServersTextIsMadeVisible: whatever servers say, and wherever, no character of it
// acts on the terminal, and none begins a line.
func TestServersTextIsMadeVisible(t *testing.T) {
	wrong := hint.With(fmt.Errorf("apply: %w", errors.New(nasty)), nasty, nasty)
	steps := []spec.Step{{Action: nasty, Object: nasty, Detail: nasty}, {Action: "+", Object: "route " + nasty}}
	for i := range 6 {
		steps = append(steps, spec.Step{Action: "+", Object: fmt.Sprintf("fdb %d%s", i, nasty)})
	}
	facts := &state.Facts{Arch: nasty, Init: nasty, WireGuard: nasty, Interfaces: []state.Interface{{Name: nasty, MTU: 1500}}}
	c := &state.Cluster{Name: "default", Servers: map[string]*state.Server{"s1": {Address: "10.0.0.1", Facts: facts}, "s2": {}}}
	status := &spec.BGPStatus{Network: nasty, Neighbors: []spec.BGPNeighborStatus{{Name: nasty, Why: nasty, State: nasty}}, Routes: []spec.BGPRoute{{Why: nasty, Unused: nasty, Paths: []spec.BGPPath{{Name: nasty, ASPath: nasty}}}}}
	told := []spec.BGPTold{{ASPath: nasty, Communities: []string{nasty}, Refused: nasty}, {Why: nasty}}
	status.Exchanges = []spec.BGPExchange{{Received: told, Sent: told}}
	servers := []change.Server{
		{Name: "s1", State: nasty, Err: errors.Join(wrong, wrong)},
		{Name: "s2", State: change.Done, Plan: &spec.Plan{Steps: steps}, Report: &spec.Report{Steps: steps}, BGP: status},
	}
	out := &change.Outcome{
		Cluster: c, Servers: servers, Leaving: []string{nasty}, Notes: []ground.Note{{Network: "n", Text: nasty}},
		Beside: []ground.Note{{Network: "n", Text: nasty}},
	}
	for name, print := range map[string]func(*app) error{
		"an error":   func(a *app) error { a.Report(command.Usage(wrong)); return nil },
		"errors":     func(a *app) error { a.Report(errors.Join(wrong, wrong)); return nil },
		"a plan":     func(a *app) error { return a.PrintPlan(out) },
		"a summary":  func(a *app) error { a.Summary(out); return nil },
		"a status":   func(a *app) error { return a.PrintStatus(out) },
		"notes":      func(a *app) error { a.Notes(out.Notes); a.Unheard(out.Notes); return a.PrintNotes([]string{nasty}) },
		"a greeting": func(a *app) error { a.Say("%s", describe("s1 added", "s1", c.Servers["s1"])); return nil },
		"a speaker":  func(a *app) error { return a.PrintSpeaker(change.Speaker{Server: "s1", Status: status}) },
		"exchanges":  func(a *app) error { return a.PrintExchanges(change.Speaker{Server: "s1", Status: status}) },
		"a question": func(a *app) error { _, err := a.Ask(command.NewProgress(a.App), nasty+"?"); return err },
		"progress": func(a *app) error {
			p := command.NewProgress(a.App)
			p.Show(change.Event{Server: nasty, Line: nasty})
			p.Note(nasty)
			return nil
		},
	} {
		for _, tty := range []bool{false, true} {
			b := newBench(t, "")
			a := &app{&command.App{Page: view.Page{Streams: screen.Streams{In: strings.NewReader("n\n"), Out: &b.out, Err: &b.err, OutTTY: tty, ErrTTY: tty}, Getenv: func(string) string { return "" }}}}
			if err := print(a); err != nil && !errors.As(err, new(command.Exit)) {
				t.Fatalf("%s: %v", name, err)
			}
			text := b.out.String() + b.err.String()
			if !strings.Contains(text, "bad") {
				t.Errorf("%s says nothing of it: %q", name, text)
			}
			for _, ours := range []string{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m", "\x1b[1A\x1b[J", "\n", "\u00a0"} {
				text = strings.ReplaceAll(text, ours, " ")
			}
			if screen.Visible(text) != text {
				t.Errorf("%s, terminal %v: raw characters in %q", name, tty, text)
			}
			for line := range strings.Lines(b.out.String() + b.err.String()) {
				if strings.HasPrefix(strings.TrimSpace(line), "flock: all is well") {
					t.Errorf("%s: a line of the server's own: %q", name, line)
				}
			}
		}
	}
}

// TestOneWayToTheScreen: what people read is printed by print, which makes it visible.
func TestOneWayToTheScreen(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			to, _ := call.Args[0].(*ast.SelectorExpr)
			raw := strings.HasPrefix(f.Sel.Name, "Fprint") && to != nil && slices.Contains([]string{"Out", "Err"}, to.Sel.Name)
			if raw || strings.HasPrefix(f.Sel.Name, "Write") && isStream(f.X) {
				t.Errorf("%s: prints around print", set.Position(call.Pos()))
			}
			return true
		})
	}
}

// isStream says that x is one of Streams.
func isStream(x ast.Expr) bool {
	s, ok := x.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Out" || s.Sel.Name == "Err")
}

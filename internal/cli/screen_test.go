package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

func TestManyStepsAlikeAreOneLine(t *testing.T) {
	steps := []spec.Step{{Action: "+", Object: "link vxl0", Detail: "bridge"}}
	for i := range 50 {
		steps = append(steps, spec.Step{Action: "+", Object: fmt.Sprintf("fdb 00:00:00:00:00:00 dst 10.0.0.%d dev vx", i)})
	}
	for i := range 3 {
		steps = append(steps, spec.Step{Action: "-", Object: fmt.Sprintf("fdb 00:00:00:00:00:00 dst 10.1.0.%d dev vx", i)})
	}
	a := &app{getenv: func(string) string { return "" }}
	have := strings.Join(a.stepLines(steps), "\n")
	want := `+ link vxl0: bridge
+ fdb: 50 of them, the first 00:00:00:00:00:00 dst 10.0.0.0 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.0 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.1 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.2 dev vx`
	if have != want {
		t.Errorf("want:\n%s\nhave:\n%s", want, have)
	}
	a.flags.verbose = true
	if n := len(a.stepLines(steps)); n != len(steps) {
		t.Errorf("--verbose: want %d lines, have %d", len(steps), n)
	}
}

func TestProgress(t *testing.T) {
	events := func(p *progress) {
		p.event(change.Event{Server: "s1", Line: "connecting"})
		p.event(change.Event{Server: "s2", Line: "connecting"})
		p.Note("waiting for somebody")
		p.event(change.Event{Server: "s1", Done: true})
		p.event(change.Event{Server: "s2", Done: true, Err: errors.New("lost")})
		p.Stop()
		p.event(change.Event{Server: "s3", Line: "too late"})
	}
	for _, test := range []struct {
		name  string
		tty   bool
		quiet bool
		want  string
	}{
		{"pipe", false, false, "s1: connecting\ns2: connecting\nwaiting for somebody\n"},
		{"quiet", true, true, ""},
		{"terminal", true, false, "s1  connecting\n" +
			"\x1b[1A\x1b[Js1  connecting\ns2  connecting\n" +
			"\x1b[2A\x1b[Jwaiting for somebody\ns1  connecting\ns2  connecting\n" +
			"\x1b[2A\x1b[Js2  connecting\n1 of 2 servers are done\n" +
			"\x1b[2A\x1b[J"},
	} {
		var b bytes.Buffer
		a := &app{Streams: screen.Streams{Err: &b, ErrTTY: test.tty}, getenv: func(string) string { return "" }}
		a.flags.quiet = test.quiet
		events(newProgress(a))
		if b.String() != test.want {
			t.Errorf("%s: want\n%q\nhave\n%q", test.name, test.want, b.String())
		}
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	env := ""
	a := &app{getenv: func(name string) string {
		if name == "NO_COLOR" {
			return env
		}
		return ""
	}}
	if have := a.paint(true, red, "x"); have != "\x1b[31mx\x1b[0m" {
		t.Errorf("terminal: %q", have)
	}
	if have := a.paint(false, red, "x"); have != "x" {
		t.Errorf("pipe: %q", have)
	}
	env = "1"
	if have := a.paint(true, red, "x"); have != "x" {
		t.Errorf("NO_COLOR: %q", have)
	}
}

func TestHostsAreFolded(t *testing.T) {
	hosts := ""
	for i := range fewAlike {
		hosts += fmt.Sprintf(" host s%d=10.0.4.%d", i, i)
	}
	a := &app{getenv: func(string) string { return "" }}
	step := func() string {
		return a.stepLines([]spec.Step{{Action: spec.Add, Object: "dhcp vx1", Detail: "mtu 1450" + hosts + " peers 10.0.4.9"}})[0]
	}
	if want := "+ dhcp vx1: mtu 1450" + hosts + " peers 10.0.4.9"; step() != want {
		t.Errorf("few: want %q, have %q", want, step())
	}
	hosts += " host s9=10.0.4.99"
	if want := "+ dhcp vx1: mtu 1450 host s0=10.0.4.0 and 4 more peers 10.0.4.9"; step() != want {
		t.Errorf("many: want %q, have %q", want, step())
	}
	a.flags.verbose = true
	if !strings.Contains(step(), "s9=10.0.4.99") {
		t.Errorf("--verbose: %q", step())
	}
}

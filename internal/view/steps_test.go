package view

import (
	"fmt"
	"strings"
	"testing"

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
	a := &Page{Getenv: func(string) string { return "" }}
	have := strings.Join(a.StepLines(steps), "\n")
	want := `+ link vxl0: bridge
+ fdb: 50 of them, the first 00:00:00:00:00:00 dst 10.0.0.0 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.0 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.1 dev vx
- fdb 00:00:00:00:00:00 dst 10.1.0.2 dev vx`
	if have != want {
		t.Errorf("want:\n%s\nhave:\n%s", want, have)
	}
	a.Verbose = true
	if n := len(a.StepLines(steps)); n != len(steps) {
		t.Errorf("--verbose: want %d lines, have %d", len(steps), n)
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	env := ""
	a := &Page{Getenv: func(name string) string {
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
	a := &Page{Getenv: func(string) string { return "" }}
	step := func() string {
		return a.StepLines([]spec.Step{{Action: spec.Add, Object: "dhcp vx1", Detail: "mtu 1450" + hosts + " peers 10.0.4.9"}})[0]
	}
	if want := "+ dhcp vx1: mtu 1450" + hosts + " peers 10.0.4.9"; step() != want {
		t.Errorf("few: want %q, have %q", want, step())
	}
	hosts += " host s9=10.0.4.99"
	if want := "+ dhcp vx1: mtu 1450 host s0=10.0.4.0 and 4 more peers 10.0.4.9"; step() != want {
		t.Errorf("many: want %q, have %q", want, step())
	}
	a.Verbose = true
	if !strings.Contains(step(), "s9=10.0.4.99") {
		t.Errorf("--verbose: %q", step())
	}
}

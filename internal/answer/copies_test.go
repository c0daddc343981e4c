package answer

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestCopies: what no agent says of a cluster is not believed, the name before all: it is in
// advice that is pasted.
func TestCopies(t *testing.T) {
	good := spec.Copied{Cluster: "default", Store: "ID", Server: "s1", Generation: 7, Made: "2026-01-07T12:00:00Z bob@laptop, flock addserver s1", Sum: "x"}
	bad := map[string]spec.Copied{}
	for name, edit := range map[string]func(*spec.Copied){
		"good":       func(*spec.Copied) {},
		"name":       func(c *spec.Copied) { c.Cluster = "$(touch x)" },
		"server":     func(c *spec.Copied) { c.Server = "s1; rm x" },
		"generation": func(c *spec.Copied) { c.Generation = 1<<64 - 1 },
		"made":       func(c *spec.Copied) { c.Made = strings.Repeat("x", 1000) },
	} {
		c := good
		edit(&c)
		bad[name] = c
	}
	for name, c := range bad {
		err := Check("s1", &spec.Request{Op: spec.OpCopies}, &spec.Reply{Done: true, Copies: []spec.Copied{c}})
		if (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

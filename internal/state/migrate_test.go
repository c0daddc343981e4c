package state

import (
	"errors"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

// later is a format two schemas on: servers were called hosts, then a network's
// members became an array.
func later() format {
	return format{schema: 3, steps: map[int]step{
		1: func(tree map[string]any) error {
			tree["server"] = tree["host"]
			delete(tree, "host")
			return nil
		},
		2: func(tree map[string]any) error {
			networks, _ := tree["network"].(map[string]any)
			for name, n := range networks {
				n, ok := n.(map[string]any)
				if !ok {
					return errors.New("network " + name + " is no table")
				}
				if words, ok := n["members"].(string); ok {
					n["members"] = strings.Fields(words)
				}
			}
			return nil
		},
	}}
}

func TestMigrateStepByStep(t *testing.T) {
	const first = "schema = 1\n[host.s1]\naddress = '10.0.0.1'\n[host.s1.confirmed]\ngeneration = 3\ntime = 2026-01-02T03:04:05Z\n" +
		"[network.a]\nmembers = 's1 s2'\n"
	c, err := parse([]byte(first), "f.toml", later())
	if err != nil {
		t.Fatal(err)
	}
	if c.Schema != 3 || c.Servers["s1"].Address != "10.0.0.1" || c.Servers["s1"].Confirmed.Generation != 3 || len(c.Networks["a"].Members) != 2 {
		t.Fatalf("migrated to %+v", c)
	}
	// The step from 1 on must not run for a file of schema 2, and none for the present.
	if c, err = parse([]byte("schema = 2\n[server.s1]\n[network.a]\nmembers = 's1'\n"), "f.toml", later()); err != nil || c.Servers["s1"] == nil {
		t.Fatalf("from 2: %+v, %v", c, err)
	}
	for _, text := range []string{"schema = 3\n[server.s1]\n", "[server.s1]\n"} {
		if c, err = parse([]byte(text), "f.toml", later()); err != nil || c.Schema != 3 || c.Servers["s1"] == nil {
			t.Fatalf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestMigrateRefuses(t *testing.T) {
	for _, test := range []struct {
		text, says string
		format     format
	}{
		{"schema = 2\nflock = 'v9.1.0'\n", "written by flock v9.1.0 in schema 2, this flock knows schemas up to 1", current()},
		{"# x\nschema = 2\n[anything]\nat = 'all'\n", "written by a newer flock in schema 2", current()},
		{"schema = 2\nnetwork.a = 1\n", "migrate schema 2 to 3: network a is no table", later()},
		{"schema = 1\n", "schema 1 is too old", format{schema: 2}},
		{"schema = 1\n[host\n", "f.toml:2:6", later()},
		{"schema = 2\n[server.s1]\nadress = 1\n", "server.s1.adress: unknown key", later()},
	} {
		_, err := parse([]byte(test.text), "f.toml", test.format)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("parse(%q) = %v, want %q", test.text, err, test.says)
			continue
		}
		if where, next := hint.Of(err); where == "" || next == "" {
			t.Errorf("parse(%q) = %v has no advice: where %q, next %q", test.text, err, where, next)
		}
	}
}

func TestCurrentFormatReachesItself(t *testing.T) {
	f := current()
	if f.schema != Schema {
		t.Fatalf("the current format is schema %d, want %d", f.schema, Schema)
	}
	for schema := 1; schema < f.schema; schema++ {
		if f.steps[schema] == nil {
			t.Errorf("no step leads from schema %d to %d", schema, schema+1)
		}
	}
}

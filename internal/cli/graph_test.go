package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

// A picture is made of the files: no server is contacted, whatever its form.
func TestGraphContactsNobody(t *testing.T) {
	b := newBench(t, "schema = 1\n[server.s1]\naddress = \"10.99.0.1\"\n[server.s2]\naddress = \"10.99.0.2\"\n[network.vx1]\ntype = \"vxlan\"\nmembers = [\"s1\", \"s2\"]\n")
	for form, begins := range map[string]string{"": "<?xml", "svg": "<?xml", "html": "<!doctype html>", "mermaid": "---\ntitle", "dot": "graph \"", "json": "{"} {
		args := []string{"graph"}
		if form != "" {
			args = append(args, "-o", form)
		}
		if code := b.run(args...); code != command.ExitDone || !strings.HasPrefix(b.out.String(), begins) || !strings.Contains(b.out.String(), "vx1") {
			t.Errorf("%q: exit status %d, %s%s", args, code, b.err.String(), b.out.String())
		}
	}
	if b.engine.contacts != 0 {
		t.Errorf("%d servers contacted", b.engine.contacts)
	}
}

// A file with a network that makes no sense is drawn, and the exit status says so.
func TestGraphOfABrokenFile(t *testing.T) {
	b := newBench(t, "schema = 1\n[server.s1]\naddress = \"10.99.0.1\"\n[network.vx1]\ntype = \"vxlan\"\nmembers = [\"s1\"]\n[network.x2]\ntype = \"carrier-pigeon\"\nmembers = [\"s1\"]\n")
	if code := b.run("graph", "--json"); code != command.ExitUsage {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	var doc struct {
		Lines []struct{ Name, Health string }
	}
	if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Lines) != 2 || doc.Lines[1].Health != "bad" || !strings.Contains(b.err.String(), "carrier-pigeon") {
		t.Errorf("have %+v, %s", doc, b.err.String())
	}
}

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// kept is a cluster file as servers keep it, of a generation.
func kept(t *testing.T, generation, text string) (spec.Copied, *state.Cluster) {
	t.Helper()
	return keptBy(t, generation, "bob@laptop, flock addnetwork vx1 s"+generation, text)
}

// keptBy is kept, of a generation that another command made.
func keptBy(t *testing.T, generation, change, text string) (spec.Copied, *state.Cluster) {
	t.Helper()
	c, err := state.Parse([]byte(`schema = 1
cluster = "default"
id = "FILE"
generation = `+generation+`
change = "`+change+`"
saved = 2026-01-0`+generation+`T12:00:00Z
`+text), "kept")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := c.Packed()
	if err != nil {
		t.Fatal(err)
	}
	return spec.Copied{Cluster: "default", Store: "FILE", Generation: c.Generation, Made: c.Made(), Sum: "sum" + generation, File: packed}, c
}

const (
	twoServers   = "[server.s1]\naddress = \"10.99.0.1\"\n[server.s2]\naddress = \"10.99.0.2\"\n"
	threeServers = twoServers + "[server.s3]\naddress = \"10.99.0.3\"\n"
)

// as says by which name of the file a server has it.
func as(c spec.Copied, server string) []spec.Copied {
	c.Server = server
	return []spec.Copied{c}
}

// TestImport: the newest file comes back from whichever server has it, with what all of them
// confirmed; who did not answer is told.
func TestImport(t *testing.T) {
	old, _ := kept(t, "5", twoServers)
	newer, file := kept(t, "7", threeServers)
	b := newBench(t, "")
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(old, "s1"), "10.99.0.2": as(newer, "s2")}
	if code := b.run("import", "root@10.99.0.1", "--yes"); code != command.ExitPartial {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	for _, want := range []string{"generation 7 of s2: made 2026-01-07T12:00:00Z by bob@laptop, flock addnetwork vx1 s7: 3 servers, 0 networks", "connect to s3: no route to host"} {
		if !strings.Contains(b.out.String()+b.err.String(), want) {
			t.Errorf("want %q in\n%s%s", want, b.out.String(), b.err.String())
		}
	}
	c := b.cluster()
	if c.Generation != 7 || c.ID != "FILE" || c.Made() != file.Made() || len(c.Servers) != 3 {
		t.Errorf("the file is generation %d of %s, made %s, with %d servers", c.Generation, c.ID, c.Made(), len(c.Servers))
	}
	if s := c.Servers["s1"].Confirmed; s == nil || s.Generation != 5 || s.Sum != "sum5" {
		t.Errorf("s1 confirmed %+v", s)
	}
	if s := c.Servers["s3"].Confirmed; s != nil {
		t.Errorf("s3, which did not answer, confirmed %+v", s)
	}
}

// TestImportByAnotherAddress: the server that is named is enough, also where the addresses of the
// file lead nowhere from here.
func TestImportByAnotherAddress(t *testing.T) {
	old, _ := kept(t, "5", twoServers)
	b := newBench(t, "")
	b.engine.copies = map[string][]spec.Copied{"192.0.2.7": as(old, "s1")}
	if code := b.run("import", "root@192.0.2.7"); code != command.ExitPartial {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	c := b.cluster()
	if s := c.Servers["s1"].Confirmed; c.Generation != 5 || s == nil || s.Sum != "sum5" {
		t.Errorf("generation %d, s1 confirmed %+v", c.Generation, s)
	}
}

// TestImportAfterNothing: a file that had a network for a while and has nothing now is no cluster.
func TestImportAfterNothing(t *testing.T) {
	old, _ := kept(t, "5", twoServers)
	b := newBench(t, "schema = 1\ncluster = \"default\"\nid = \"MINE\"\ngeneration = 2\n")
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(old, "s1"), "10.99.0.2": as(old, "s2")}
	if code := b.run("import", "10.99.0.1"); code != 0 || b.cluster().ID != "FILE" {
		t.Errorf("exit %d: %s", code, b.err.String())
	}
}

// TestImportAsksAgain: what a newer copy of another server uses of the workstation is asked for,
// too.
func TestImportAsksAgain(t *testing.T) {
	old, _ := kept(t, "5", twoServers)
	key, _ := kept(t, "7", twoServers+"[server.s4]\naddress = \"10.99.0.4\"\nidentity = \"/root/.ssh/id\"\n")
	b := newBench(t, "")
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(old, "s1"), "10.99.0.2": as(key, "s2")}
	if code := b.run("import", "10.99.0.1"); code != command.ExitUsage || b.engine.contacts != 2 || !strings.Contains(b.err.String(), "log in to s4 with the key /root/.ssh/id") {
		t.Errorf("exit %d, %d contacts: %s", code, b.engine.contacts, b.err.String())
	}
}

// TestImportIsAhead: where a generation was confirmed whose file nobody has, the next one is
// after it, and that something is lost is told.
func TestImportIsAhead(t *testing.T) {
	old, _ := kept(t, "5", twoServers)
	newer, _ := kept(t, "7", twoServers)
	newer.File = ""
	b := newBench(t, "")
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(old, "s1"), "10.99.0.2": as(newer, "s2")}
	if code := b.run("import", "10.99.0.1", "--yes"); code != 0 {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	if !strings.Contains(b.err.String(), "generation 7 was confirmed, and its file was not found: what was changed after generation 5 is not in this one, which is 8 now") {
		t.Error(b.err.String())
	}
	if c := b.cluster(); c.Generation != 8 {
		t.Errorf("generation %d", c.Generation)
	}
}

// TestImportRefuses: what is no file of this cluster is not taken, and a file that is there is
// not lost.
func TestImportRefuses(t *testing.T) {
	good, _ := kept(t, "5", twoServers)
	strange, cut, none := good, good, good
	strange.Store = "OTHER"
	cut.File = good.File[:len(good.File)/2/4*4]
	none.File = ""
	elsewhere := good
	elsewhere.Cluster = "lab"
	senseless, _ := kept(t, "5", twoServers+"[network.vx1]\ntype = \"vxlan\"\nmembers = [\"s9\"]\n")
	key, _ := kept(t, "5", twoServers+"[server.s4]\naddress = \"10.99.0.4\"\nidentity = \"/root/.ssh/id\"\n")
	for _, test := range []struct {
		name, cluster string
		list          []spec.Copied
		code          int
		says          string
		contacts      int
		more          []string
	}{
		{"a file is there", twoServers, as(good, "s1"), 2, "there is a cluster file already", 0, []string{"--yes"}},
		{"a broken file is there", "schema = x", as(good, "s1"), 2, "c.toml.broken, then the same again", 0, []string{"--yes"}},
		{"nothing of flock's", "", nil, 1, "has nothing of flock's", 1, nil},
		{"another cluster alone", "", []spec.Copied{elsewhere}, 1, "flock --cluster lab import 10.99.0.1", 1, nil},
		{"no copy", "", as(none, "s1"), 1, "an older flock made them", 1, nil},
		{"of another file", "", as(strange, "s1"), 1, "of another cluster than the server's networks", 1, nil},
		{"cut off", "", as(cut, "s1"), 1, "is damaged", 1, nil},
		{"without sense", "", as(senseless, "s1"), 1, "s9", 2, nil},
		{"a key of the workstation's", "", as(key, "s1"), 2, "log in to s4 with the key /root/.ssh/id", 1, nil},
	} {
		b := newBench(t, test.cluster)
		b.engine.copies = map[string][]spec.Copied{"10.99.0.1": test.list, "10.99.0.2": test.list}
		code := b.run(append([]string{"import", "10.99.0.1"}, test.more...)...)
		if code != test.code || !strings.Contains(b.err.String(), test.says) || b.engine.contacts != test.contacts {
			t.Errorf("%s: exit %d, %d contacts\n%s", test.name, code, b.engine.contacts, b.err.String())
		}
		text, err := os.ReadFile(filepath.Join(b.dir, "c.toml"))
		if string(text) != test.cluster || (err == nil) != (test.cluster != "") {
			t.Errorf("%s: the file is now %q (%v)", test.name, text, err)
		}
	}
}

// mine is this admin's file, of generation 5.
func mine(t *testing.T) (string, *state.Cluster) {
	t.Helper()
	_, c := kept(t, "5", twoServers)
	text, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), c
}

// TestPull: a newer file is shown, asked for and taken; the former one goes into the history.
func TestPull(t *testing.T) {
	text, _ := mine(t)
	newer, _ := kept(t, "7", threeServers)
	old, _ := kept(t, "5", twoServers)
	b := newBench(t, text)
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(old, "s1"), "10.99.0.2": as(newer, "s2"), "10.99.0.3": as(newer, "s3")}
	if code := b.run("pull"); code != command.ExitUsage || b.engine.contacts > 0 {
		t.Errorf("without a terminal: exit %d, %d contacts", code, b.engine.contacts)
	}
	if code := b.run("pull", "--dry-run"); code != 0 || b.cluster().Generation != 5 || !strings.Contains(b.out.String(), "+ server s3: address 10.99.0.3") {
		t.Errorf("a dry run: exit %d\n%s%s", code, b.out.String(), b.err.String())
	}
	b.answers = "n\n"
	if code := b.run("pull"); code != 1 || b.cluster().Generation != 5 {
		t.Errorf("answered with no: exit %d\n%s", code, b.err.String())
	}
	b.answers = "y\n"
	if code := b.run("pull"); code != 0 {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	c := b.cluster()
	if c.Generation != 7 || len(c.Servers) != 3 || c.Servers["s3"].Confirmed == nil {
		t.Errorf("generation %d, %d servers", c.Generation, len(c.Servers))
	}
	if code := b.run("diff", "5"); code != command.ExitDrift || !strings.Contains(b.out.String(), "+ server s3: address 10.99.0.3") {
		t.Errorf("diff: exit %d\n%s%s", code, b.out.String(), b.err.String())
	}
	if code := b.run("pull", "--yes"); code != 0 || !strings.Contains(b.err.String(), "no server has a newer cluster file than generation 7") {
		t.Errorf("again: exit %d\n%s", code, b.err.String())
	}
}

// TestPullAnother: two copies of the file may each have had a generation of one number. Which
// server has the other one's is told, and it is taken where that server is named.
func TestPullAnother(t *testing.T) {
	text, _ := mine(t)
	other, _ := keptBy(t, "5", "alice@desk, flock addserver s3", threeServers)
	ours, _ := kept(t, "5", twoServers)
	b := newBench(t, text)
	b.engine.copies = map[string][]spec.Copied{"10.99.0.1": as(ours, "s1"), "10.99.0.2": as(other, "s2")}
	if code := b.run("pull", "--yes"); code != 0 || !strings.Contains(b.err.String(), "s2 holds generation 5 of another copy of the cluster file: made 2026-01-05T12:00:00Z by alice@desk, flock addserver s3; 'flock pull s2' takes that one") {
		t.Errorf("exit %d\n%s", code, b.err.String())
	}
	if code := b.run("pull", "s2", "--yes"); code != 0 || !strings.Contains(b.err.String(), "is generation 5 of s2, here generation 6: made ") {
		t.Errorf("exit %d\n%s", code, b.err.String())
	}
	if code := b.run("diff", "5"); code != command.ExitDrift || !strings.Contains(b.out.String(), "+ server s3") {
		t.Errorf("exit %d\n%s%s", code, b.out.String(), b.err.String())
	}
	if code := b.run("pull", "--yes"); code != command.ExitPartial || strings.Contains(b.err.String(), "another copy") { // s3 is away
		t.Errorf("exit %d\n%s", code, b.err.String())
	}
	strange := ours
	strange.Store = "OTHER"
	strange.File = ""
	b.engine.copies["10.99.0.2"] = as(strange, "s2")
	if code := b.run("pull", "--yes"); code != command.ExitPartial || !strings.Contains(b.err.String(), "s2 belongs to another cluster file") {
		t.Errorf("exit %d\n%s", code, b.err.String())
	}
}

// TestExport: the file is written as it is, over nothing that is there.
func TestExport(t *testing.T) {
	text, _ := mine(t)
	b := newBench(t, text)
	if code := b.run("export"); code != 0 || b.out.String() != text {
		t.Errorf("exit %d\n%s", code, b.out.String())
	}
	file := filepath.Join(b.dir, "copy.toml")
	if code := b.run("export", file); code != 0 {
		t.Errorf("exit %d\n%s", code, b.err.String())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if code := b.run("export", file); code != command.ExitUsage {
		t.Errorf("over a file: exit %d\n%s", code, b.err.String())
	}
	if code := b.run("diff", file); code != 0 || !strings.Contains(b.err.String(), "no difference to ") {
		t.Errorf("diff: exit %d\n%s%s", code, b.out.String(), b.err.String())
	}
	if code := b.run("diff", "99"); code != command.ExitUsage {
		t.Errorf("diff with what is not kept: exit %d\n%s", code, b.err.String())
	}
}

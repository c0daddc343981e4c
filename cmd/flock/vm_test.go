//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/vm"
)

// A walk says in which lanes it runs, in a comment before its first command:
//
//	# lanes: native vm
//
// native is this machine's kernel, vm is Debian's in QEMU; who says nothing runs
// natively. Of other packages' tests lab.InVM lists those that run there. By hand:
//
//	go test ./cmd/flock -v -run 'TestVM/walks/^l2$'
//	go test ./cmd/flock -v -run 'TestVM/agent/TestRotation'
//
// with FLOCK_VM_LOG=FILE to watch them.

const (
	nativeLane = "native"
	vmLane     = "vm"
	binEnv     = "FLOCK_TEST_BIN" // the directory of the program, built outside
	// vmTime is far more than the lane takes (see CONTRIBUTING.md).
	vmTime = 55 * time.Minute
	// vmSlower is how much longer than natively something may take there.
	vmSlower = 20
)

// patience is how long to wait here for what natively comes within d.
func patience(d time.Duration) time.Duration {
	if vm.Inside() {
		return vmSlower * d
	}
	return d
}

var lanesLine = regexp.MustCompile(`^# lanes: (.+)$`)

// lanesOf reads in which lanes the script runs.
func lanesOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		m := lanesLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		lanes := strings.Fields(m[1])
		for _, l := range lanes {
			if l != nativeLane && l != vmLane {
				t.Fatalf("%s: unknown lane %q: there are %s and %s", file, l, nativeLane, vmLane)
			}
		}
		return lanes
	}
	return []string{nativeLane}
}

// vmWalks are the names of the scripts' tests in the VM: testscript's, which testing
// numbers where there are several of a name, as of the examples' walks.
func vmWalks(t *testing.T) []string {
	t.Helper()
	var names []string
	times := map[string]int{}
	for _, file := range scripts(t) {
		if !slices.Contains(lanesOf(t, file), vmLane) {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if n := times[name]; n > 0 {
			names = append(names, fmt.Sprintf("%s#%02d", name, n))
		} else {
			names = append(names, name)
		}
		times[name]++
	}
	return names
}

// suite is one test binary's part in the VM.
type suite struct {
	name   string   // of its subtest
	pkg    string   // its directory in this module
	prefix string   // of its tests' names, that goes without saying
	binary string   // as compiled
	args   []string // of the binary: which tests
	want   []string // tests that must pass there; empty: at least one
}

// asEvents makes a test binary write what `go tool test2json` reads.
const asEvents = "-test.v=test2json"

// TestVM runs what belongs there under Debian's kernel, and tells of each test as
// of one of its own.
func TestVM(t *testing.T) {
	if vm.Inside() {
		return // it is running this
	}
	t.Parallel()
	lab.Need(t, append([]string{"go"}, vm.Programs...)...)
	suites := vmSuites(t)
	parts := splitSuites(t, runInVM(t, suites, false))
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) { tell(t, s, parts[s.name]) })
	}
}

// runInVM runs the suites, one after the other, and returns what they wrote. Steady is
// vm.Options.Steady.
func runInVM(t testing.TB, suites []suite, steady bool) string {
	t.Helper()
	kernel, err := vm.Kernel()
	if err != nil {
		lab.Lack(t, "Debian's kernel: make kernel fetches it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), vmTime)
	defer cancel()
	var out bytes.Buffer
	o := vmOptions(t, suites)
	o.Kernel, o.Steady, o.Out = kernel, steady, &out
	if file := os.Getenv("FLOCK_VM_LOG"); file != "" { // to watch it
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.Out = io.MultiWriter(&out, f)
	}
	status, err := vm.Run(ctx, o)
	if err != nil {
		t.Errorf("%v", err)
	} else if status != 0 {
		t.Errorf("exit status in the VM: %d", status)
	}
	return out.String()
}

// asked is element i of the pattern of -run or -bench, empty for none: the VM need not
// run what was not asked for.
func asked(by string, i int) string {
	elements := strings.Split(flag.Lookup("test."+by).Value.String(), "/")
	if i >= len(elements) {
		return ""
	}
	return elements[i]
}

// vmSuites compiles what the VM runs.
func vmSuites(t *testing.T) []suite {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(asked("run", 1))
	var suites []suite
	if walks := (suite{name: "walks", pkg: "cmd/flock", prefix: "TestWalks/", binary: self}); wanted.MatchString(walks.name) {
		var names []string
		for _, name := range vmWalks(t) {
			if regexp.MustCompile(asked("run", 2)).MatchString(name) {
				names = append(names, regexp.QuoteMeta(name))
				walks.want = append(walks.want, walks.prefix+name)
			}
		}
		walks.args = []string{asEvents, "-test.run=^TestWalks$/^(" + strings.Join(names, "|") + ")$"}
		suites = append(suites, walks)
	}
	for _, pkg := range slices.Sorted(maps.Keys(lab.InVM)) {
		s := suite{name: filepath.Base(pkg), pkg: pkg, args: []string{asEvents, "-test.run=" + cmp.Or(asked("run", 2), lab.InVM[pkg])}}
		if wanted.MatchString(s.name) {
			s.binary = compileTests(t, pkg)
			suites = append(suites, s)
		}
	}
	if len(suites) == 0 {
		t.Fatalf("want suites for %s, have none", asked("run", 1))
	}
	return suites
}

// compileTests makes the test binary of a package of this module.
func compileTests(t testing.TB, pkg string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), filepath.Base(pkg)+".test")
	cmd := exec.Command("go", "test", "-c", "-o", binary, "./"+pkg)
	cmd.Dir = "../.."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile the tests of %s: %v\n%s", pkg, err, text)
	}
	return binary
}

const suiteMark = "=== SUITE " // and its name, at the start of its output

// vmOptions is a VM that runs the suites, one after the other.
func vmOptions(t testing.TB, suites []suite) vm.Options {
	t.Helper()
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// What is run there is copied to memory: from here each page would be a request.
	bin := filepath.Join(dir, "bin")
	if err := os.Rename(build(t), bin); err != nil {
		t.Fatal(err)
	}
	const inside = "/tmp/bin"
	script := "cp -r " + bin + " " + inside + "\nfailed=0\n"
	for _, s := range suites {
		binary := s.name + ".test"
		text, err := os.ReadFile(s.binary)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, binary), text, 0o755); err != nil {
			t.Fatal(err)
		}
		script += fmt.Sprintf("echo '%s%s'\n(cd %s && exec %s/%s -test.timeout=%v '%s') || failed=1\n",
			suiteMark, s.name, s.pkg, inside, binary, vmTime, strings.Join(s.args, "' '"))
	}
	o := vm.Options{Dir: dir, Cd: tree, Env: []string{binEnv + "=" + inside, "FLOCK_MUST=all", seed.Env + "=" + os.Getenv(seed.Env)}}
	o.Args = []string{"sh", "-c", script + "exit $failed"}
	return o
}

// splitSuites divides the VM's output.
func splitSuites(t *testing.T, out string) map[string]string {
	t.Helper()
	parts := map[string]string{}
	suite := ""
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, suiteMark); ok {
			suite = strings.TrimSpace(name)
			continue
		}
		parts[suite] += line
	}
	if parts[""] != "" {
		t.Errorf("before the first suite: %s", parts[""])
	}
	return parts
}

// verdict is what came of one test.
type verdict struct {
	action  string // pass, fail or skip; empty: it did not end
	output  strings.Builder
	elapsed float64 // seconds
}

// fault is why a test did not pass, empty if it did. One that is missing or was
// skipped has run in no lane.
func (v *verdict) fault() string {
	switch {
	case v == nil:
		return "it did not run in the VM"
	case v.action == "pass":
		return ""
	case v.action == "":
		return "it did not end in the VM\n" + v.output.String()
	}
	return v.action + " in the VM\n" + v.output.String()
}

// verdicts reads a suite's output by `go tool test2json`.
func verdicts(t *testing.T, text string) map[string]*verdict {
	t.Helper()
	cmd := exec.Command("go", "tool", "test2json", "-t")
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("test2json: %v: %s", err, stderr.String())
	}
	all := map[string]*verdict{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var e struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read test2json: %v", err)
		}
		v := all[e.Test]
		if v == nil {
			v = &verdict{}
			all[e.Test] = v
		}
		switch e.Action {
		case "output":
			v.output.WriteString(e.Output)
		case "pass", "fail", "skip":
			v.action, v.elapsed = e.Action, e.Elapsed
		}
	}
}

// tell repeats what the VM's tests said.
func tell(t *testing.T, s suite, text string) {
	all := verdicts(t, text)
	names := slices.Clone(s.want)
	for name := range all {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatalf("want tests, have none of %v\n%s", s.args, text)
	}
	for _, name := range names {
		if name+"/" == s.prefix {
			continue
		}
		t.Run(strings.TrimPrefix(name, s.prefix), func(t *testing.T) {
			v := all[name]
			if fault := v.fault(); fault != "" {
				t.Error(fault)
			} else {
				t.Logf("%.1f s", v.elapsed)
			}
		})
	}
	if v := all[""]; v != nil && v.action == "fail" {
		t.Errorf("the whole suite\n%s", v.output.String())
	}
}

// What does not say that it passed did not.
func TestVMFaults(t *testing.T) {
	lab.Need(t, "go")
	parts := splitSuites(t, suiteMark+"walks\n"+
		"\x16=== RUN   TestA\n\x16--- PASS: TestA (1.00s)\n"+
		"\x16=== RUN   TestB\n    why\n\x16--- FAIL: TestB (1.00s)\n"+
		"\x16=== RUN   TestC\n\x16--- SKIP: TestC (0.00s)\n\x16FAIL\n"+
		suiteMark+"agent\n\x16=== RUN   TestD\n    so far")
	walks, agent := verdicts(t, parts["walks"]), verdicts(t, parts["agent"])
	for _, c := range []struct {
		v    *verdict
		want string
	}{
		{walks["TestA"], ""},
		{walks["TestB"], "fail in the VM\n.*\n    why\n"},
		{walks["TestC"], "skip in the VM\n"},
		{walks["TestD"], "did not run"},
		{agent["TestD"], "did not end in the VM\n.*\n    so far"},
	} {
		if have := c.v.fault(); (have == "") != (c.want == "") || !regexp.MustCompile(c.want).MatchString(have) {
			t.Errorf("want %q, have %q", c.want, have)
		}
	}
}

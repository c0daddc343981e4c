package remote

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

// TestVersionOfProgram: what Go built is named without reading all of it, the rest by
// its sum.
func TestVersionOfProgram(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file := func() (io.ReadCloser, error) { return os.Open("/proc/self/exe") }
	stream := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewBuffer(self)), nil }
	script := func() (io.ReadCloser, error) { return os.Open("program_test.go") }
	noted, err := versionOf(file)
	if err != nil {
		t.Fatal(err)
	}
	summed, err := versionOf(stream)
	if err != nil {
		t.Fatal(err)
	}
	g, err := digestOf(func() ([]byte, error) { return self, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(noted) != 16 || noted == summed || summed != g.sum[:16] {
		t.Errorf("noted %s, summed %s of %s", noted, summed, g.sum)
	}
	other, err := versionOf(script)
	if err != nil || len(other) != 16 || other == noted {
		t.Errorf("a script is %q, %v", other, err)
	}
}

// TestPackedProgram: what is embedded compressed is named without unpacking it, goes
// out as it is, and is the same program again when it is read.
func TestPackedProgram(t *testing.T) {
	plain := strings.Repeat("a program ", 1000)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	opened := []*packedAgent{}
	agent := func(id string) source {
		return func() (io.ReadCloser, error) {
			p := &packedAgent{id: id, gz: gz.Bytes()}
			opened = append(opened, p)
			return p, nil
		}
	}
	one, err1 := versionOf(agent("one"))
	two, err2 := versionOf(agent("two"))
	packed, err3 := pack(agent("one"))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(one) != 16 || one == two {
		t.Errorf("versions %q and %q", one, two)
	}
	if !bytes.Equal(packed, gz.Bytes()) {
		t.Errorf("%d bytes packed, want the %d that are carried", len(packed), gz.Len())
	}
	for _, p := range opened {
		if p.r != nil {
			t.Error("it was unpacked for nothing")
		}
	}
	if data, err := readAll(agent("one")); err != nil || string(data) != plain {
		t.Errorf("%d bytes unpacked, want %d, %v", len(data), len(plain), err)
	}
}

// TestVariants: a server gets the variant that it needs, under a name of its own.
func TestVariants(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	slim, bgp := s.target(), s.target()
	bgp.Variant = WithBGP
	before := facts(t, mustDial(t, l, slim)).Agent
	after := facts(t, mustDial(t, l, bgp)).Agent
	if before == after {
		t.Fatalf("both variants are %s", before)
	}
	if have := strings.Join(versions(t, l), " "); have != after {
		t.Errorf("in place: %s, want %s alone", have, after)
	}
}

// What uname -m says, on each architecture that `make release` has an agent for, and what is
// advised for one that it has not.
func TestArchitectures(t *testing.T) {
	makefile := string(must(os.ReadFile("../../Makefile")))
	if want := "FAR    := $(ALL) " + strings.Join(released[2:], " ") + "\n"; !strings.Contains(makefile, want) || !strings.Contains(makefile, "ALL    := "+strings.Join(released[:2], " ")+"\n") {
		t.Errorf("the Makefile builds others than %v", released)
	}
	of := map[string][]string{
		"amd64": {"x86_64"}, "arm64": {"aarch64"}, "arm": {"armv6l", "armv7l", "armv8l"}, "riscv64": {"riscv64"}, "386": {"i386", "i486", "i586", "i686"},
	}
	for _, arch := range released {
		for _, machine := range of[arch] {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "uname"), []byte("#!/bin/sh\n[ \"$1\" = -s ] && echo Linux || echo "+machine+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := (&sshServer{path: dir}).start(t)
			l := newLaptop(t, s)
			asked, agents := "", l.Agents
			l.Agents = func(b Build) (io.ReadCloser, error) { asked = b.Arch; return agents(b) }
			target := s.target()
			target.Arch = "s390x" // so that it is asked
			facts(t, mustDial(t, l, target))
			if asked != arch {
				t.Errorf("%s got an agent for %s, want %s", machine, asked, arch)
			}
		}
	}
	for arch, want := range map[string]string{"arm": "make release", "s390x": "make build ARCHES='" + runtime.GOARCH + " s390x'"} {
		_, err := BuiltinAgent(Build{Arch: arch})
		if _, next := hint.Of(err); runtime.GOARCH != arch && (err == nil || !strings.Contains(next, want)) {
			t.Errorf("%s: next %q, %v", arch, next, err)
		}
	}
}

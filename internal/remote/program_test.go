package remote

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
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

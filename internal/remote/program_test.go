package remote

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// TestVersionOfProgram: what Go built is named without reading all of it, the rest by
// its sum.
func TestVersionOfProgram(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file := func(string) (io.ReadCloser, error) { return os.Open("/proc/self/exe") }
	stream := func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewBuffer(self)), nil }
	script := func(string) (io.ReadCloser, error) { return os.Open("program_test.go") }
	noted, err := versionOf(file, "")
	if err != nil {
		t.Fatal(err)
	}
	summed, err := versionOf(stream, "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := digestOf(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(noted) != 16 || noted == summed || summed != g.sum[:16] {
		t.Errorf("noted %s, summed %s of %s", noted, summed, g.sum)
	}
	other, err := versionOf(script, "")
	if err != nil || len(other) != 16 || other == noted {
		t.Errorf("a script is %q, %v", other, err)
	}
}

//go:build linux

package agent

import (
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// What the workstation asks of an agent is not for the daemons that it starts, which
// have all processors to use.
func TestOneProcessorIsForTheSessionAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	t.Setenv("GOMAXPROCS", "1")
	if err := serve(strings.NewReader(""), io.Discard); err != nil {
		t.Fatal(err)
	}
	if value, set := os.LookupEnv("GOMAXPROCS"); set {
		t.Errorf("GOMAXPROCS=%s goes on to daemons", value)
	}
}

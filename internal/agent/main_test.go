//go:build linux

package agent

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// What the workstation asks of an agent is not for the daemons that it starts, which
// have all processors to use.
func TestOneProcessorIsForTheSessionAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, first := range []string{"", wire.Pack(&spec.Request{Op: spec.OpAlive})} {
		t.Setenv("GOMAXPROCS", "1")
		t.Setenv(wire.FirstEnv, first)
		var out strings.Builder
		if err := serve(strings.NewReader(""), &out); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"GOMAXPROCS", wire.FirstEnv} {
			if value, set := os.LookupEnv(name); set {
				t.Errorf("%s=%s goes on to daemons", name, value)
			}
		}
		if took := strings.HasSuffix(out.String(), wire.Took+"\n"); took != (first != "") {
			t.Errorf("with the first request %q the agent greets with %q", first, out.String())
		}
	}
}

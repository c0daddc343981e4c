package cli

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/spec"
)

// lostPorts says whose interfaces lose the bridge that they are plugged into, before
// anybody agrees to it.
func lostPorts(out *change.Outcome, say func(line string)) {
	for _, s := range out.Servers {
		lostPortsOf(s.Name, stepsOf(s), say)
	}
}

func lostPortsOf(server string, steps []spec.Step, say func(line string)) {
	for _, step := range steps {
		if ports, lost := strings.CutPrefix(step.Detail, spec.LosesBridge); lost {
			say(fmt.Sprintf("note: %s: the bridge %s goes, its ports %s are without one then; ip link set PORT master BRIDGE plugs one in again",
				server, strings.TrimPrefix(step.Object, "link "), ports))
		}
	}
}

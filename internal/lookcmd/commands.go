// Package lookcmd owns the commands that ask servers how they are and prove it by packets:
// verify, probe, capture, doctor, trace. It judges nothing (see verify, underlay, trace,
// doctor), and changes no network.
package lookcmd

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
)

// app has the methods of the commands of this room.
type app struct{ *command.App }

// Commands are the commands of this room, in the order of help.
func Commands(shared *command.App) []*cobra.Command {
	a := &app{shared}
	return []*cobra.Command{newVerify(a), newProbe(a), newCapture(a), newDoctor(a), newTrace(a)}
}

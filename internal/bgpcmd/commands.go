// Package bgpcmd owns the commands of BGP networks and their words on the screen. It has no
// rules about BGP (see peering) and makes no connections (see change).
package bgpcmd

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
)

// app has the methods of the commands of this room.
type app struct{ *command.App }

// Commands are the commands of BGP networks, in the order of help.
func Commands(shared *command.App) []*cobra.Command {
	a := &app{shared}
	return []*cobra.Command{newCreateBGP(a), newAddBGP(a), newDelBGP(a), newRemoveBGP(a), newShowBGP(a), newResetBGP(a)}
}

// Package sshcmd owns the commands for people's own use of the way in to servers: a login, a
// command on many, connections that stay. It has no rules about SSH (see remote), and changes no
// network.
package sshcmd

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
)

// app has the methods of the commands of this room.
type app struct{ *command.App }

// Commands are the commands of this room, in the order of help.
func Commands(shared *command.App) []*cobra.Command {
	a := &app{shared}
	return []*cobra.Command{newConnect(a), newDisconnect(a), newSSH(a), newEach(a)}
}

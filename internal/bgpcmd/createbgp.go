package bgpcmd

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

type createBGPOptions struct {
	name, member string
	hold         int64
	edit.BGPOptions
}

func newCreateBGP(a *app) *cobra.Command {
	var o createBGPOptions
	as := asNumber{&o.AS}
	cmd := &cobra.Command{
		Use:   "createbgp NAME MEMBER",
		Short: "create a BGP network with its first member",
		Long: `Create a BGP network: its members announce the container subnets that they share to
each other (iBGP), and packets between those travel as they are, without encapsulation.
MEMBER is the first member, SERVER, SERVER:INTERFACE, SERVER:IP or local; with
--mode reflector it is the first route reflector, and the next member the second.

The address of a member that a wireguard or another network of flock's gave it
(s1:10.0.8.1) makes its sessions, and the packets, travel there.

With --bfd members watch each other by packets some milliseconds apart (BFD, RFC 5880),
and leave a silent one after three of them instead of the hold time; restarts and upgrades
of the daemon lose nothing. It is for members on one segment: others are not watched.

  flock createbgp bnet s1
  flock createbgp bnet s1 --bfd
  flock createbgp bnet s1 --as 65010 --mode reflector --hold 30`,
		Args:              command.Exactly(2),
		ValidArgsFunction: a.completeAnchor(),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.member = args[0], args[1]
			o.Hold = command.Number(cmd, "hold", &o.hold)
			return a.createBGP(cmd.Context(), &o)
		},
	}
	f := cmd.Flags()
	f.Var(&as, "as", "the members' autonomous system (default 64512)")
	f.StringVar(&o.Mode, "mode", "", "`mesh|reflector`: who has sessions, all with all or with the reflectors (default mesh)")
	f.Int64Var(&o.hold, "hold", 0, "`SECONDS` until a silent neighbour is lost (default 90)")
	bfdFlag(f, &o.BFD, "watch members by packets `MS` milliseconds apart (BFD)")
	command.CompleteFlag(cmd, "mode", command.CompleteWords(state.Mesh, state.Reflector))
	return cmd
}

func (a *app) createBGP(ctx context.Context, o *createBGPOptions) error {
	return a.alterBGP(ctx, o.name, command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			return edit.CreateBGP(c, o.name, o.member, o.BGPOptions)
		}},
		Already: func(out *change.Outcome) string {
			return o.name + " is there already: " + command.Outline(out.Cluster.Networks[o.name])
		},
		Said: func(out *change.Outcome) string {
			return fmt.Sprintf("%s created: %s\nnext: flock addbgp %s peer SERVER…, flock addbgp %s network SERVER:CIDR…",
				o.name, command.Outline(out.Cluster.Networks[o.name]), o.name, o.name)
		},
	})
}

// asNumber is the value of a flag that takes an autonomous system; 0: not given.
type asNumber struct{ to *uint32 }

// Set reads a number, plain or in asdot notation.
func (v *asNumber) Set(text string) error {
	as, err := option.ParseAS(text)
	if err == nil {
		*v.to = as
	}
	return err
}

func (v *asNumber) String() string {
	if v.to == nil || *v.to == 0 {
		return ""
	}
	return option.FormatAS(*v.to)
}

// Type names the value in help.
func (*asNumber) Type() string { return "ASN" }

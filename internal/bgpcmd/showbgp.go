package bgpcmd

import (
	"context"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newShowBGP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "showbgp [SERVER|NETWORK] [PEER]",
		Short: "look at the sessions and routes of BGP, live",
		Long: `Show the BGP sessions of a server and its routes. IN and OUT are the numbers of prefixes
accepted from a peer and announced to it, WHY is the reason why a session is down or a
route is not used; KERNEL says whether the kernel has the route and uses it: another one to
the same destination may go before it. -o wide shows every path, not only those in use.
Without SERVER, all servers with BGP, or the members of NETWORK, are shown side by side,
with their next hops for each prefix.

With PEER, a router's address or another member, its session alone is shown, with every
route that it announces, whether it is used, unused or refused and why, and every route
that is announced to it. More than 100 are only counted, except with -o wide or json.

Exit status 3 when a server cannot be reached.

  flock showbgp s1
  flock showbgp s1 10.99.0.254
  flock showbgp -o json`,
		Args:              command.Between(0, 2),
		ValidArgsFunction: a.completeSpeakers(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.showBGP(cmd.Context(), args) },
	}
}

// completeSpeakers offers the members of BGP networks and these themselves, then whom a
// member has sessions with.
func (a *app) completeSpeakers() command.Completer {
	return a.Complete(2, func(c *state.Cluster, args []string, _ string) []string {
		if len(args) == 1 {
			return peersOf(c, args[0])
		}
		return append(slices.Sorted(maps.Keys(network.Speakers(c))), network.BGPNetworks(c)...)
	})
}

func (a *app) showBGP(ctx context.Context, args []string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	servers, err := speakersOf(c, args)
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		if a.JSON() {
			return a.PrintJSON(view.SpeakerList{Servers: []view.SpeakerDoc{}})
		}
		a.Say("no server speaks BGP; next: flock createbgp NAME SERVER")
		return nil
	}
	if len(args) == 2 {
		return a.showExchange(ctx, c, args[0], args[1])
	}
	var list []change.Speaker
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		list, err = e.BGP(ctx, servers, nil, 0)
		return err
	})
	if err != nil {
		return err
	}
	if len(args) == 1 && c.Servers[args[0]] != nil {
		err = a.showSpeaker(list[0])
	} else {
		err = a.PrintSpeakers(c, list)
		if lost := func(s change.Speaker) bool { return s.Status == nil }; err == nil && slices.ContainsFunc(list, lost) {
			err = command.Exit(command.ExitPartial)
		}
	}
	a.Notes(amissAmong(c, list))
	return err
}

// amissAmong is what of the networks of speakers is not as it was meant.
func amissAmong(c *state.Cluster, list []change.Speaker) []ground.Note {
	compiled, err := network.Compile(c)
	if err != nil {
		return nil
	}
	spoken := func(name string) bool {
		return slices.ContainsFunc(list, func(s change.Speaker) bool { return s.Status != nil && s.Status.Network == name })
	}
	return slices.DeleteFunc(compiled.Notes, func(n ground.Note) bool { return !n.Amiss || !spoken(n.Network) })
}

// showExchange shows one session and its routes.
func (a *app) showExchange(ctx context.Context, c *state.Cluster, server, word string) error {
	peers, err := peersNamed(c, server, word)
	if err != nil {
		return err
	}
	var answer change.Speaker
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		answer, _, err = e.RequestBGP(ctx, change.BGPRequest{Server: server, BGPRequest: spec.BGPRequest{Op: spec.BGPRoutes, Peers: peers}})
		return err
	})
	switch {
	case err != nil:
		return err
	case answer.Err != nil:
		return command.Partial(answer.Err)
	case answer.Status == nil:
		return command.Partial(view.NoDaemon(server))
	}
	return a.PrintExchanges(answer)
}

// speakersOf are the servers to look at: the one named, the members of the network named,
// or all that speak BGP.
func speakersOf(c *state.Cluster, args []string) ([]string, error) {
	all := slices.SortedFunc(maps.Keys(network.Speakers(c)), screen.ByName)
	if len(args) == 0 {
		return all, nil
	}
	n := c.Networks[args[0]]
	switch name := args[0]; {
	case c.Servers[name] == nil && n != nil && network.KindOf(n).BGP:
		if len(args) > 1 {
			return nil, command.Refuse("flock showbgp SERVER "+args[1], "showbgp: %s is a network, and %s is nobody's peer without a server", name, args[1])
		}
		return slices.DeleteFunc(all, func(server string) bool { return !command.IsMember(c, name, server) }), nil
	case c.Servers[name] == nil && n != nil:
		return nil, command.Usage(hint.Errorf("network "+name, "flock listnetworks "+name, "%s is a %s network and speaks no BGP", name, n.Type))
	case c.Servers[name] == nil:
		return nil, command.Usage(hint.Unknown("server", name, "flock listservers"))
	case !network.Speakers(c)[name]:
		return nil, command.Usage(hint.Errorf("server "+name, "flock addbgp NAME peer "+name, "%s speaks no BGP: it is a member of no BGP network", name))
	}
	return args, nil
}

func (a *app) showSpeaker(s change.Speaker) error {
	switch {
	case s.Err != nil:
		return command.Partial(s.Err)
	case s.Status == nil:
		return command.Partial(view.NoDaemon(s.Server))
	}
	return a.PrintSpeaker(s)
}

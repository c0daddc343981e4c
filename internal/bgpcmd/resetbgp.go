package bgpcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// resetWithin bounds the wait for the session that follows one that was ended.
const resetWithin = 30 * time.Second

func newResetBGP(a *app) *cobra.Command {
	var soft bool
	cmd := &cobra.Command{
		Use:   "resetbgp NETWORK SERVER PEER",
		Short: "end a BGP session and begin it anew, or refresh its routes",
		Long: `End the BGP session that a member has with PEER, a router's address or another member, and
wait up to 30 s for the next one. The routes of both sides are gone until then: the
question says how many there are.

With --soft nothing is interrupted: PEER is asked for all its routes again (route refresh,
RFC 2918), they pass through the filters, and it is told all of the server's.

  flock resetbgp bnet s1 10.99.0.254 --soft
  flock resetbgp bnet s1 s2`,
		Args:              command.Exactly(3),
		ValidArgsFunction: a.completeSession(),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.resetBGP(cmd.Context(), args[0], args[1], args[2], soft)
		},
	}
	cmd.Flags().BoolVar(&soft, "soft", false, "keep the session: ask for all routes again, and tell all (RFC 2918)")
	return cmd
}

func (a *app) resetBGP(ctx context.Context, name, server, peer string, soft bool) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if n := c.Networks[name]; n == nil || !network.KindOf(n).BGP {
		return command.Usage(hint.Errorf("network "+name, "flock listnetworks", "there is no BGP network %s", name))
	}
	if !command.IsMember(c, name, server) {
		return command.Usage(hint.Errorf("server "+server, "flock listnetworks "+name, "%s is not a member of %s", server, name))
	}
	peers, err := peersNamed(c, server, peer)
	if err != nil {
		return err
	}
	o := change.BGPRequest{Server: server, BGPRequest: spec.BGPRequest{Op: spec.BGPRefresh, Peers: peers}}
	if !soft {
		o.Op, o.Within, o.Until = spec.BGPReset, resetWithin, upAgain(peers)
	}
	var answer, last change.Speaker
	err = a.With(func(e command.Engine, p *command.Progress) (err error) {
		o.Approve = func(s *spec.BGPStatus) error { return a.approveReset(p, o, peer, s) }
		answer, last, err = e.RequestBGP(ctx, o)
		return err
	})
	switch {
	case errors.Is(err, errResetPlanned):
		return nil
	case err != nil:
		return err
	case answer.Err != nil:
		return command.Partial(answer.Err)
	case answer.Status == nil:
		return command.Partial(view.NoDaemon(server))
	case soft:
		a.Say("%s: %s", server, refreshed(answer.Status, peer, peers))
		return nil
	}
	return a.sayReset(server, peer, peers, last)
}

// errResetPlanned ends a dry run.
var errResetPlanned = errors.New("dry run")

// approveReset asks whether sessions may end, and says what that interrupts. Those that are
// not established have nothing that could end, or be refreshed.
func (a *app) approveReset(p *command.Progress, o change.BGPRequest, peer string, s *spec.BGPStatus) error {
	in, out, server := 0, 0, o.Server
	for _, addr := range o.Peers {
		n := view.NeighborOf(s, addr)
		if n.State != spec.BGPEstablished {
			return hint.Errorf("server "+server, "flock showbgp "+server+" "+peer, "the session of %s with %s is %s, not established: %s", server, addr, n.State, n.Why)
		}
		in, out = in+n.Accepted, out+n.Sent
	}
	costs := fmt.Sprintf("%s from it and %s to it are gone until the next session is up", view.Plural(in, "route"), view.Plural(out, "route"))
	switch {
	case o.Op == spec.BGPRefresh && a.DryRun():
		a.Say("dry run: %s would ask %s for all its routes again, and tell it all; nothing is interrupted", server, peer)
		return errResetPlanned
	case o.Op == spec.BGPRefresh:
		return nil
	case a.DryRun():
		a.Say("dry run: the session of %s with %s would end: %s", server, peer, costs)
		return errResetPlanned
	}
	return a.Confirm(p, fmt.Sprintf("end the session of %s with %s? %s", server, peer, costs))
}

// upAgain says of one server's answers whether its sessions with peers are established
// that begin after now.
func upAgain(peers []netip.Addr) func([]change.Speaker) bool {
	seen := map[netip.Addr]bool{} // down, after the reset
	return func(list []change.Speaker) bool {
		if len(list) != 1 || list[0].Status == nil {
			return len(list) == 1 && list[0].Err != nil
		}
		for _, addr := range peers {
			n := view.NeighborOf(list[0].Status, addr)
			if n.State != spec.BGPEstablished {
				seen[addr] = true
			}
			if n.State != spec.BGPEstablished || !seen[addr] {
				return false
			}
		}
		return true
	}
}

// sayReset says what came of a reset.
func (a *app) sayReset(server, peer string, peers []netip.Addr, last change.Speaker) error {
	if last.Status == nil {
		return command.Partial(hint.Errorf("server "+server, "flock showbgp "+server+" "+peer, "the session of %s with %s was ended; what followed is not known: %w", server, peer, last.Err))
	}
	in, out := 0, 0
	for _, addr := range peers {
		n := view.NeighborOf(last.Status, addr)
		if n.State != spec.BGPEstablished {
			return hint.Errorf("server "+server, "flock showbgp "+server+" "+peer, "the session of %s with %s was ended, and none is up after %s: it is %s, %s",
				server, addr, resetWithin, n.State, n.Why)
		}
		in, out = in+n.Accepted, out+n.Sent
	}
	a.Say("%s: the session with %s was ended and is up again: %s accepted from it so far, %s told it", server, peer, view.Plural(in, "route"), view.Plural(out, "route"))
	return nil
}

// refreshed says what a refresh did.
func refreshed(s *spec.BGPStatus, peer string, peers []netip.Addr) string {
	in, received, out := 0, 0, 0
	for _, addr := range peers {
		n := view.NeighborOf(s, addr)
		in, received, out = in+n.Accepted, received+n.Received, out+n.Sent
	}
	text := fmt.Sprintf("%s was asked for all its routes again (%d, of which %d are accepted), and told all (%d); no session ended", peer, received, in, out)
	if len(s.Deaf) == 0 {
		return text
	}
	var deaf []string
	for _, d := range s.Deaf {
		deaf = append(deaf, d.String())
	}
	return strings.Join(deaf, ", ") + fmt.Sprintf(" knows no route refresh: the %d routes that it told passed through the filters again (%d are accepted), and it was told all (%d); no session ended", received, in, out)
}

// peersNamed are the addresses of a speaker's neighbours that a word names: an address, or
// a member.
func peersNamed(c *state.Cluster, server, word string) ([]netip.Addr, error) {
	s, err := speakerOf(c, server)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, hint.Errorf("server "+server, "flock apply", "nothing is known of the sessions of %s yet", server)
	}
	addr, _ := netip.ParseAddr(strings.Trim(word, "[]"))
	var out []netip.Addr
	for _, n := range s.Neighbors {
		if n.Addr == addr || n.Name != "" && n.Name == word {
			out = append(out, n.Addr)
		}
	}
	if len(out) == 0 {
		return nil, command.Usage(hint.Errorf("server "+server, "flock showbgp "+server, "%s has no BGP session with %q", server, word))
	}
	return out, nil
}

// completeSession offers BGP networks, their members, and whom these have sessions with.
func (a *app) completeSession() command.Completer {
	return a.Complete(3, func(c *state.Cluster, args []string, _ string) []string {
		switch len(args) {
		case 0:
			return network.BGPNetworks(c)
		case 1:
			return slices.DeleteFunc(c.ServerNames(), func(server string) bool { return !command.IsMember(c, args[0], server) })
		}
		return peersOf(c, args[1])
	})
}

// peersOf are the words that name the neighbours of a speaker: a member's name, a router's
// address.
func peersOf(c *state.Cluster, server string) (out []string) {
	s, err := speakerOf(c, server)
	if err != nil || s == nil {
		return nil
	}
	for _, n := range s.Neighbors {
		if word := cmp.Or(n.Name, n.Addr.String()); !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// speakerOf is what the cluster file has a server speak; nil if that cannot be said yet.
func speakerOf(c *state.Cluster, server string) (*spec.BGP, error) {
	if err := network.Complete(c); err != nil {
		return nil, command.Usage(err)
	}
	compiled, err := network.Compile(c)
	if err != nil || compiled.Hosts[server] == nil {
		return nil, err
	}
	return compiled.Hosts[server].BGP, nil
}

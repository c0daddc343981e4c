package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/explain"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newExplain(a *app) *cobra.Command {
	undo, format := false, formatSh
	cmd := &cobra.Command{
		Use:   "explain NETWORK [SERVER]",
		Short: "print the commands that build a network on a server, and those that undo it",
		Long: `Print the commands (ip, bridge, wg, nft, sysctl, files for dnsmasq and systemd) that build on
SERVER what flock builds there for a network or a tunnel, with a word on each, and after them,
as comments, those that undo it. They are made of the cluster file: nobody is contacted. With a
SERVER the output is a script for a POSIX shell; without one the commands of every member
follow each other, and a shell that is given them stops at once.

On a server that flock never touched they give what flock gives: the same devices, addresses,
routes, forwarding entries, filters and files, by the same names and marks. What no command
does (processes of flock's agent) is said where it belongs. Private keys and passwords are in
no cluster file: the script makes a key pair, or reads a file, on the server.

With --format networkd the script writes files of systemd-networkd, which build what that can
do, at each boot: devices, addresses, neighbours, forwarding entries, peers, routes through the
network's devices. What else there is, as packet filters and DHCP, is said in comments.

  flock explain vx1 s1
  flock explain vx1 s1 | ssh root@192.0.2.11 sh
  flock explain vx1 s1 --undo | ssh root@192.0.2.11 sh
  flock explain vx1 s1 --format networkd`,
		Args: command.Between(1, 2),
		ValidArgsFunction: a.Complete(2, func(c *state.Cluster, args []string, _ string) []string {
			if len(args) == 0 {
				return c.NetworkNames()
			}
			return membersOf(c.Networks[args[0]])
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != formatSh && format != formatNetworkd {
				return command.Usage(hint.Errorf("--format "+format, "flock explain NETWORK SERVER --format networkd", "unknown format %q, one of: %s, %s", format, formatSh, formatNetworkd))
			}
			return a.explain(cmd.Context(), args[0], args[1:], undo, format)
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "print the script that undoes it")
	cmd.Flags().StringVar(&format, "format", format, "sh, or networkd: files of systemd-networkd")
	command.CompleteFlag(cmd, "format", command.CompleteWords(formatSh, formatNetworkd))
	return cmd
}

// Formats of explain.
const (
	formatSh       = "sh"
	formatNetworkd = "networkd"
)

// membersOf are the servers of n, which may be nil.
func membersOf(n *state.Network) []string {
	var out []string
	if n != nil {
		for _, m := range n.Members {
			out = append(out, ground.ServerOf(m))
		}
	}
	return out
}

func (a *app) explain(ctx context.Context, name string, only []string, undo bool, format string) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	n := r.Cluster.Networks[name]
	if n == nil {
		return command.Usage(hint.Unknown("network", name, "flock listnetworks"))
	}
	if err := r.Fault(a.App); err != nil {
		return err
	}
	servers := membersOf(n)
	if len(only) > 0 {
		if !slices.Contains(servers, only[0]) {
			return command.Usage(hint.Errorf("network "+name, "flock listnetworks "+name, "%s is not a member of %s", only[0], name))
		}
		servers = only
	}
	compiled, asked, err := network.CompileWith(r.Cluster, name)
	if err != nil {
		return command.Usage(err)
	}
	if len(servers) == 0 {
		return command.Usage(hint.Errorf("network "+name, "flock addnetwork "+name+" SERVER", "%s has no members", name))
	}
	var scripts []*explain.Script
	others := othersAsk(r.Cluster, name, servers)
	for _, server := range servers {
		s, err := explain.Of(compiled.Hosts[server], asked[server], others[server], name)
		if err != nil {
			return err
		}
		if format == formatNetworkd && !s.Empty() {
			if s = explain.Networkd(compiled.Hosts[server], asked[server], name); s.Empty() {
				a.Say("systemd-networkd can do nothing of %s on %s; next: flock explain %s %s", name, server, name, server)
				continue
			}
		}
		if s.Empty() {
			a.unexplained(compiled, r.Cluster, name, server)
			continue
		}
		scripts = append(scripts, s)
	}
	if a.JSON() {
		if err := a.PrintJSON(explain.DocumentOf(name, n.Type, scripts)); err != nil || len(scripts) > 0 {
			return err
		}
	}
	if len(scripts) == 0 {
		return command.Exit(command.ExitFailed)
	}
	return a.printScripts(r.Cluster.Name, name, scripts, len(only) > 0, undo)
}

// othersAsk is what the other networks of each of servers ask for there.
func othersAsk(c *state.Cluster, name string, servers []string) map[string][]*spec.Host {
	out := map[string][]*spec.Host{}
	for _, other := range c.NetworkNames() {
		shared := slices.ContainsFunc(servers, func(s string) bool { return ground.HasMember(c.Networks[other], s) })
		if other == name || !shared {
			continue
		}
		_, asked, err := network.CompileWith(c, other)
		for _, server := range servers {
			if err == nil && asked[server] != nil {
				out[server] = append(out[server], asked[server])
			}
		}
	}
	return out
}

// unexplained says why a member has no part in its network.
func (a *app) unexplained(c *ground.Compiled, cluster *state.Cluster, name, server string) {
	for _, p := range c.Problems {
		if p.Server == server && p.Network == name {
			a.Report(p.Err)
			return
		}
	}
	if cluster.Servers[server].Facts == nil {
		a.Say("nothing is known of %s, which was never contacted; next: flock apply", server)
		return
	}
	a.Say("%s has nothing of %s", server, name)
}

// printScripts prints one script, or several behind a line that stops a shell.
func (a *app) printScripts(cluster, name string, scripts []*explain.Script, one, undo bool) error {
	var b strings.Builder
	if !one {
		fmt.Fprintf(&b, "echo 'these are commands for %d servers: flock explain %s SERVER has those for one' >&2; exit 2\n", len(scripts), name)
	}
	for _, s := range scripts {
		if !one {
			fmt.Fprintf(&b, "\n# ---- %s ----\n", s.Server)
		}
		b.WriteString(s.Text(cluster, undo))
	}
	if _, err := io.WriteString(a.Out, b.String()); err != nil {
		return fmt.Errorf("print the commands: %w", err)
	}
	return nil
}

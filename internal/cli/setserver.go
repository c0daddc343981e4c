package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
	"github.com/spf13/cobra"
)

func newSetServer(a *app) *cobra.Command {
	var o edit.ServerOptions
	noNAT, replace := false, ""
	cmd := &cobra.Command{
		Use:   "setserver NAME [[USER@]ADDRESS[:PORT]]",
		Short: "change properties of a server in place",
		Long: `Change what addserver said of a server, and its name. What is not given stays; --unset
gives a property the value that it has when addserver is not told it.

When a server has another address, name it once: the server is contacted there, must be
the same machine, and its host key is taken if it is the one known so far. All networks
follow in one change: members, tunnels and routers that were named by the old address,
servers that are reached through it, the endpoint.

With --replace another machine takes the place of one that is dead: it has its name,
memberships, subnets and addresses, and makes keys of its own. The dead one is remembered:
should it answer again, 'flock apply' removes from it what is there.

A new name changes no address of a container and no MAC address.

  flock setserver s1 10.99.0.21
  flock setserver s1 --interface eth1 --endpoint gw.example.org:51820
  flock setserver s1 --replace root@10.99.0.9 --accept-new
  flock setserver s1 --rename web1`,
		Args:              command.Between(1, 2),
		ValidArgsFunction: a.CompleteServers(1),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			for flag, key := range map[string]string{"identity": "identity", "jump": "jump", "interface": "interface", "nat": "nat", "endpoint": "endpoint", "no-nat": "nat"} {
				if cmd.Flags().Changed(flag) && !slices.Contains(o.Keys, key) {
					o.Keys = append(o.Keys, key)
				}
			}
			if noNAT && o.Given.NAT {
				return command.Refuse("leave one away", "--nat and --no-nat contradict each other")
			}
			if replace != "" && len(args) > 1 {
				return command.Refuse("flock setserver "+args[0]+" --replace "+replace, "--replace says where the new machine is: %q is one word too many", args[1])
			}
			if o.Replace = replace != ""; o.Replace {
				args = append(args, replace)
			}
			if err := parseServer(&o, args); err != nil {
				return err
			}
			return a.setServer(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	serverFlags(f, &o.Given)
	f.BoolVar(&noNAT, "no-nat", false, "others can connect to it")
	f.StringVar(&o.Rename, "rename", "", "its new `NAME`")
	f.StringVar(&replace, "replace", "", "another machine at `[USER@]ADDRESS[:PORT]` takes its place: the old one is dead")
	f.StringSliceVar(&o.Unset, "unset", nil, "give `PROPERTY` the value that it has by itself (interface, port, jump …); repeatable")
	command.CompleteFlag(cmd, "unset", command.CompleteWords(edit.Properties()...))
	return cmd
}

// parseServer reads the login, and refuses a wrong one before anything is looked up.
func parseServer(o *edit.ServerOptions, args []string) error {
	if err := checkLogin(&o.Given); err != nil {
		return err
	}
	if len(args) == 1 {
		return nil
	}
	user, host, port, err := target.Parse(args[1])
	if err != nil {
		return command.Usage(err)
	}
	o.Given.User, o.Given.Address, o.Given.Port = user, host, port
	o.Keys = append(o.Keys, "address")
	if user != "" {
		o.Keys = append(o.Keys, "user")
	}
	if port != 0 {
		o.Keys = append(o.Keys, "port")
	}
	return nil
}

func (a *app) setServer(ctx context.Context, name string, o edit.ServerOptions) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	now := cmp.Or(o.Rename, name)
	req := change.Request{Edit: func(c *state.Cluster) error { return edit.SetServer(c, name, o) }, Await: &change.Await{}}
	// What says where the server is must be true: it is looked at there.
	if slices.ContainsFunc(slices.Concat(o.Keys, o.Unset), func(key string) bool { return key != "nat" && key != "endpoint" }) {
		req.Contact, req.Moves, req.Replaces = []string{now}, now, o.Replace
	}
	return wayIn(a.Alter(ctx, command.Alter{
		Request: req,
		Already: func(out *change.Outcome) string { return describe(now+" is so already", now, out.Cluster.Servers[now]) },
		About:   ground.Networks(c, name),
		Said: func(out *change.Outcome) string {
			said := describe(now+" is set", now, out.Cluster.Servers[now])
			if old := c.Servers[name]; o.Replace && old != nil && slices.ContainsFunc(out.Cluster.Gone, func(g state.Gone) bool { return g.Name == name && g.Address == old.Address }) {
				said += "\n" + cmp.Or(old.Address, name) + " does not answer: flock apply cleans it when it does"
			}
			return said
		},
	}))
}

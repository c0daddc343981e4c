package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type addServerOptions struct {
	name   string
	server state.Server
}

func newAddServer(a *app) *cobra.Command {
	var o addServerOptions
	cmd := &cobra.Command{
		Use:   "addserver NAME [[USER@]ADDRESS[:PORT]]",
		Short: "add a server, after logging in to it once",
		Long: `Add a Linux server to the cluster. The server is contacted at once: its host key is
checked, the agent is put on it, its interfaces are looked at. A server that does not
answer is not added.

Without an address NAME is looked up in ~/.ssh/config (HostName, User, Port,
IdentityFile, ProxyJump, HostKeyAlias …), as ssh would. Another login than root
uses sudo, whose password is asked for on a terminal, or doas. An unknown host key
is asked about on a terminal and refused otherwise, unless --accept-new; a changed
key is always refused.

  flock addserver s1 root@10.99.0.1
  flock addserver web1                       # from ~/.ssh/config
  flock addserver s3 admin@[fd00::3]:2222 -i ~/.ssh/lab -J root@bastion --interface eth1`,
		Args:        command.Between(1, 2),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(args); err != nil {
				return err
			}
			return a.addServer(cmd.Context(), &o)
		},
	}
	serverFlags(cmd.Flags(), &o.server)
	return cmd
}

// serverFlags are the flags for what a server is.
func serverFlags(f *pflag.FlagSet, s *state.Server) {
	loginFlags(f, s)
	f.StringVar(&s.Interface, "interface", "", "the underlay `IFACE|IP` of its networks (default: of the default route)")
	f.BoolVar(&s.NAT, "nat", false, "it is behind NAT: others cannot connect to it")
	f.StringVar(&s.Endpoint, "endpoint", "", "where WireGuard reaches it, `HOST[:PORT]`, if not at its underlay address")
}

// loginFlags are ssh's flags for how to log in.
func loginFlags(f *pflag.FlagSet, s *state.Server) {
	f.StringVarP(&s.Identity, "identity", "i", "", "log in with this private key `FILE`")
	f.StringVarP(&s.Jump, "jump", "J", "", "log in through `[USER@]HOST[:PORT]`, several with commas")
}

// checkLogin refuses a wrong login, jump or key file before anything is looked up.
func checkLogin(s *state.Server) error {
	if err := findIdentity(s); err != nil {
		return err
	}
	if err := option.CheckLogin(s); err != nil {
		return command.Usage(err)
	}
	return nil
}

// findIdentity makes the key file's path absolute: later commands may run in another
// directory.
func findIdentity(s *state.Server) error {
	if s.Identity == "" || strings.HasPrefix(s.Identity, "~") {
		return nil
	}
	abs, err := filepath.Abs(s.Identity)
	if err != nil {
		return fmt.Errorf("find %s: %w", s.Identity, err)
	}
	s.Identity = abs
	return nil
}

func (o *addServerOptions) parse(args []string) error {
	o.name = args[0]
	if err := checkLogin(&o.server); err != nil {
		return err
	}
	if len(args) == 1 {
		return nil
	}
	user, host, port, err := target.Parse(args[1])
	if err != nil {
		return command.Usage(err)
	}
	o.server.User, o.server.Address, o.server.Port = user, host, port
	return nil
}

func (a *app) addServer(ctx context.Context, o *addServerOptions) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if s := c.Servers[o.name]; s != nil && edit.AddServer(c.Clone(), o.name, o.server) == nil {
		return a.Nothing(c, describe(o.name+" is there already", o.name, s))
	}
	err = a.Alter(ctx, command.Alter{
		Request: change.Request{
			Edit:    func(c *state.Cluster) error { return edit.AddServer(c, o.name, o.server) },
			Contact: []string{o.name},
		},
		Terse: true,
		Said: func(out *change.Outcome) string {
			return describe(o.name+" added", o.name, out.Cluster.Servers[o.name])
		},
	})
	return wayIn(err)
}

// wayIn makes a wrong -i or -J, or an ssh config that is wrong, a usage error.
func wayIn(err error) error {
	if errors.Is(err, remote.ErrConfig) {
		return command.Usage(err)
	}
	return err
}

// describe is head, and what a server is.
func describe(head, name string, s *state.Server) string {
	if s == nil || s.Facts == nil {
		return head
	}
	words := []string{"linux/" + screen.Visible(s.Facts.Arch)}
	if s.Facts.Init != "" {
		words = append(words, screen.Visible(s.Facts.Init))
	}
	if dev, addr, mtu, ok := ground.DefaultUnderlay(name, s); ok {
		words = append(words, fmt.Sprintf("underlay %s %s mtu %d", screen.Visible(dev), addr, mtu))
	}
	return head + ": " + strings.Join(words, ", ")
}

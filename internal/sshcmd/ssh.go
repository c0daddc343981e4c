package sshcmd

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/spf13/cobra"
)

func newSSH(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh SERVER [COMMAND...]",
		Short: "log in to a server, or run a command there",
		Long: `Log in to a server by ssh(1), with the address, user, port, key and jump hosts that flock
uses for it, or run a command there. What is behind SERVER is ssh's: it goes to the login's
shell as it is, and the exit status is the command's.

  flock ssh s1
  flock ssh s1 ip -br addr
  flock ssh s1 'ip route | grep vxl0'`,
		Args:              command.Between(1, 1<<30),
		ValidArgsFunction: a.CompleteServers(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ssh(cmd.Context(), args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (a *app) ssh(ctx context.Context, server string, words []string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if err := command.KnownServers(c, server); err != nil {
		return err
	}
	argv := localShell(os.Getenv("SHELL"), words)
	if server != remote.Local {
		argv = append(append([]string{"ssh"}, a.Dialer().Login(ctx, change.Target(c, server))...), words...)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return hint.Errorf("server "+server, "apt-get install openssh-client", "ssh: %w", err)
	}
	return hint.With(syscall.Exec(path, argv, os.Environ()), "server "+server, "")
}

// localShell is what a login is on the workstation itself.
func localShell(shell string, words []string) []string {
	switch {
	case len(words) > 0:
		return []string{"/bin/sh", "-c", strings.Join(words, " ")}
	case shell == "":
		return []string{"/bin/sh"}
	}
	return []string{shell}
}

// Package labcmd owns the commands of the lab: flock lab up, list, exec and the others.
//
// They stand beside the commands that change clusters, and share nothing with them but how
// they print and are refused, which they are given. The machines are the lab's.
package labcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// Line is what the command line gives to the commands of the lab.
type Line struct {
	*view.Page
	Args   func(least, most int) cobra.PositionalArgs         // refuses another number of words
	None   cobra.PositionalArgs                               // refuses words where a command is missing
	Refuse func(next, format string, args ...any) error       // an error of the call, with advice
	Exit   func(status int) error                             // ends with a status, and says nothing
	Words  func(cmd *cobra.Command, flag string, w ...string) // what a flag offers a shell
}

// New makes the commands of the lab, whose servers are network namespaces.
func New(a Line) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "servers to try things on, made of namespaces of this machine",
		Long: `Boot servers on this machine to try flock on: namespaces with a real sshd and, unless
--init none, a real systemd. Nothing else of flock needs the lab. Linux and root only.
It lives in $FLOCK_LAB, or /run/flock-lab.

  flock lab up 3
  export FLOCK_SSH_CONFIG=/run/flock-lab/ssh_config
  flock addserver s1 root@10.99.0.1
  flock lab container s1 c1 vxl0 dhcp
  flock lab exec c1 ping -c 1 c2.vxapp
  flock lab down`,
		Args: a.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUp(a), newDown(a), newList(a), newSSH(a), newExec(a), newContainer(a),
		newSwitch(a, "off", "pull a server's power plug", (*lab.Lab).Off),
		newSwitch(a, "on", "boot a server again", (*lab.Lab).On),
		newSwitch(a, "cut", "pull a server's network cable", (*lab.Lab).Cut),
		newSwitch(a, "join", "put a server's network cable back", (*lab.Lab).Join))
	return cmd
}

func newUp(a Line) *cobra.Command {
	o := lab.Options{Attach: true, Log: func(line string) { a.Say("%s", line) }}
	cmd := &cobra.Command{
		Use:   "up [N]",
		Short: "boot N servers, three if not said",
		Args:  a.Args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.N = 3
			if len(args) == 1 {
				n, err := strconv.Atoi(args[0])
				if err != nil || n < 1 {
					return a.Refuse("flock lab up 3", "%q is not a number of servers", args[0])
				}
				o.N = n
			}
			if inits := []string{lab.Systemd, lab.None}; !slices.Contains(inits, o.Init) {
				return a.Refuse("--init "+strings.Join(inits, " or --init "), "unknown init %q", o.Init)
			}
			_, err := lab.Up(cmd.Context(), o)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Init, "init", lab.Systemd, "what starts the servers: `systemd|none`")
	cmd.Flags().StringVar(&o.Root, "root", "", "boot the servers from the root with other people's software in `DIR`, which make root prepares")
	a.Words(cmd, "init", lab.Systemd, lab.None)
	return cmd
}

func newDown(a Line) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "take the lab away, a crashed one too",
		Args:  a.Args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			swept, err := lab.DownDir(cmd.Context(), lab.DefaultDir())
			for _, dir := range swept {
				a.Say("took down the lab in %s too, whose process is gone", dir)
			}
			return err
		},
	}
}

func newList(a Line) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the servers of the lab and their containers",
		Args:  a.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			l, err := lab.Open("")
			if err != nil {
				return err
			}
			list, err := l.List()
			if err != nil {
				return err
			}
			if a.JSON() {
				return a.PrintJSON(List{view.OrEmpty(list)})
			}
			t := &screen.Table{Head: []string{"NAME", "ADDRESS", "ADDRESS6", "POWER", "CONTAINERS"}}
			for _, m := range list {
				power := "off"
				if m.Up {
					power = "on"
				}
				t.Add(m.Name, m.Address, m.Address6, power, strings.Join(m.Containers, " "))
			}
			return t.Write(a.Out, a.TableWidth())
		},
	}
}

// List is what list prints as JSON.
type List struct {
	Machines []lab.Status `json:"machines"`
}

func newSSH(a Line) *cobra.Command {
	return a.command("ssh HOST [COMMAND...]", "log in to a server with OpenSSH's client", 1,
		func(ctx context.Context, l *lab.Lab, args []string) *exec.Cmd {
			return l.SSH(ctx, args[0], args[1:]...)
		})
}

func newExec(a Line) *cobra.Command {
	return a.command("exec HOST|CONTAINER COMMAND...", "run a command inside a server or container, without SSH", 2,
		func(ctx context.Context, l *lab.Lab, args []string) *exec.Cmd {
			return l.Command(ctx, args[0], args[1:]...)
		})
}

// command is a command that runs another program: flags after it belong to that
// program, whose exit status is returned.
func (a Line) command(use, short string, least int, start func(context.Context, *lab.Lab, []string) *exec.Cmd) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: a.Args(least, 1<<30), DisableFlagsInUseLine: true,
		ValidArgsFunction: completeMachines(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open("")
			if err != nil {
				return err
			}
			run := start(cmd.Context(), l, args)
			run.Stdin, run.Stdout, run.Stderr = a.In, screen.Below(a.Out), screen.Below(a.Err)
			run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
			err = run.Run()
			var failed *exec.ExitError
			if errors.As(err, &failed) && failed.ExitCode() > 0 {
				return a.Exit(failed.ExitCode())
			}
			return err
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newContainer(a Line) *cobra.Command {
	return &cobra.Command{
		Use:               "container HOST NAME BRIDGE [IP/LEN|dhcp|none]",
		Short:             "plug a container into a server's bridge, by DHCP if not said",
		Args:              a.Args(3, 4),
		ValidArgsFunction: completeMachines(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open("")
			if err != nil {
				return err
			}
			address := "dhcp"
			if len(args) == 4 {
				address = args[3]
			}
			c, err := l.Container(cmd.Context(), args[0], args[1], args[2], address)
			if err != nil {
				return err
			}
			if a.JSON() {
				return a.PrintJSON(c)
			}
			line := fmt.Sprintf("%s on %s: %s", c.Name, c.Host, strings.Join(view.Texts(c.Addresses), " "))
			if c.LeaseMS > 0 {
				line += fmt.Sprintf(" (lease after %d ms)", c.LeaseMS)
			}
			return a.Print(a.Out, "%s\n", line)
		},
	}
}

func newSwitch(a Line, name, short string, do func(*lab.Lab, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " HOST", Short: short, Args: a.Args(1, 1), ValidArgsFunction: completeMachines(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open("")
			if err != nil {
				return err
			}
			if err := do(l, cmd.Context(), args[0]); err != nil {
				return err
			}
			a.Say("%s: %s", args[0], name)
			return nil
		},
	}
}

// completeMachines offers the lab's servers for the first word, with or without its containers.
func completeMachines(containers bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		l, err := lab.Open("")
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		list, err := l.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, m := range list {
			names = append(names, m.Name)
			if containers {
				names = append(names, m.Containers...)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

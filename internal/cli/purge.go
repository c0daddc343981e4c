package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newPurge(a *app) *cobra.Command {
	var login state.Server
	cmd := &cobra.Command{
		Use:   "purge SERVER|[USER@]ADDRESS[:PORT]",
		Short: "remove everything flock ever put on a server",
		Long: `Remove everything that flock ever put on a server for this cluster, whatever cluster
file made it. The server need not be in the file, an empty one will do: it is then
called by its address, or by its name in ~/.ssh/config, with -i and -J as addserver has
them. What the file says is kept; 'flock apply' brings it back.

  flock purge s3
  flock purge root@10.99.0.3                 # one that the file does not have
  flock purge admin@[fd00::3]:2222 -i ~/.ssh/lab -J root@bastion`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.CompleteServers(1),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLogin(&login); err != nil {
				return err
			}
			return a.purge(cmd.Context(), args[0], login)
		},
	}
	loginFlags(cmd.Flags(), &login)
	return cmd
}

func (a *app) purge(ctx context.Context, server string, login state.Server) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	filed := c.Servers[server] != nil
	if filed && (login.Identity != "" || login.Jump != "") {
		return command.Refuse("flock purge "+server, "purge %s: the cluster file says how to log in to it: -i and -J are for servers that it lacks", server)
	}
	if a.DryRun() {
		if !filed {
			return command.Refuse("flock addserver "+server, "purge %s: only a server of the cluster file can be planned for", server)
		}
		return a.Alter(ctx, command.Alter{Request: change.Request{Edit: strip(server), Contact: []string{server}, Only: true}})
	}
	var report *spec.Report
	_, err = a.Work(func(e command.Engine, p *command.Progress) (*change.Outcome, error) {
		err := a.Confirm(p, fmt.Sprintf("remove everything of flock's from %s?", server))
		if err == nil {
			report, err = e.Purge(ctx, server, login)
		}
		return nil, err
	})
	if report == nil {
		return wayIn(err)
	}
	if a.JSON() {
		steps := []view.StepDoc{}
		for _, s := range report.Steps {
			steps = append(steps, view.StepDoc(s))
		}
		if err := a.PrintJSON(purgeDoc{server, steps, report.Left, report.Remains}); err != nil {
			return err
		}
	}
	view.LostPortsOf(server, report.Steps, func(line string) { a.Say("%s", line) })
	if err != nil {
		return wayIn(err)
	}
	a.Say("%s: %s removed, 0 left", server, view.Plural(len(report.Steps), "object"))
	return nil
}

type purgeDoc struct {
	Server  string         `json:"server"`
	Steps   []view.StepDoc `json:"steps"`
	Left    int            `json:"left"`              // objects of flock's still there
	Remains []string       `json:"remains,omitempty"` // the first of them
}

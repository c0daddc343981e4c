package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/spf13/cobra"
)

func newExport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "write the cluster file, to keep or to share",
		Long: `Write the cluster file as it is to FILE, or to the standard output. It has no secrets: keys
and passwords are on the servers alone. It has addresses, and the paths of key files.

'flock apply -f FILE' makes a cluster what it says, and 'flock diff FILE' compares. Who shall
go on from it as it is takes it by --state FILE, or by 'flock import' from a server.

  flock export >backup.toml
  flock export cluster.toml`,
		Args:        command.Between(0, 1),
		Annotations: command.Forms("toml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.export(cmd.Context(), args)
		},
	}
}

func (a *app) export(ctx context.Context, args []string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	text, err := c.Marshal()
	if err != nil {
		return err
	}
	if len(args) == 0 || args[0] == "-" {
		return a.Print(a.Out, "%s", text)
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return command.Usage(hint.With(fmt.Errorf("export: %w", err), args[0], "the name of a file that is not there, in a directory that is"))
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %w", errors.Join(err, os.Remove(args[0])))
	}
	a.Say("%s: generation %d", args[0], c.Generation)
	return nil
}

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/flocknet/flock/internal/agent"
	"github.com/spf13/cobra"
)

// agentCommand is what the words name of the commands that run on a server, nil if
// none. To build the whole tree of commands costs a server more than it takes to
// find out that nothing has to be done there.
func (a *app) agentCommand() func(context.Context) error {
	switch {
	case slices.Equal(a.args, []string{"agent", "serve"}):
		return a.serve
	case slices.Equal(a.args, []string{"agent", "boot"}):
		return a.boot
	}
	return nil
}

// serve answers one workstation on standard input and output.
func (a *app) serve(ctx context.Context) error {
	// One thing after the other: more threads would only wake each other up (a tenth
	// of an agent's processor time).
	runtime.GOMAXPROCS(1)
	v, err := agentVersion()
	if err != nil {
		return err
	}
	return agent.Serve(ctx, a.In, a.Out, v)
}

// boot re-applies the last specs.
func (a *app) boot(ctx context.Context) error { return agent.Boot(ctx, a.Err) }

// newAgent makes the hidden commands that run on a server: serve answers one
// workstation on standard input and output, boot re-applies the last specs, and
// two run on: a WireGuard device in userspace, and the look after names.
func newAgent(a *app) []*cobra.Command {
	cmd := &cobra.Command{
		Use:    "agent",
		Short:  "the part that runs on a server",
		Hidden: true,
		Args:   noCommand,
		RunE:   func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "serve",
			Short: "answer one workstation on standard input and output",
			Args:  exactly(0),
			RunE:  func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
		},
		&cobra.Command{
			Use:   "wireguard DEVICE",
			Short: "be the WireGuard device that the kernel has not",
			Args:  exactly(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return agent.WireGuard(cmd.Context(), args[0], a.Err)
			},
		},
		&cobra.Command{
			Use:   "resolve CLUSTER",
			Short: "look after WireGuard endpoints that are names",
			Args:  exactly(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return agent.Resolve(cmd.Context(), args[0], a.Err)
			},
		},
		&cobra.Command{
			Use:   "boot",
			Short: "make this server look as it was last told to",
			Args:  exactly(0),
			RunE:  func(cmd *cobra.Command, _ []string) error { return a.boot(cmd.Context()) },
		},
	)
	return []*cobra.Command{cmd}
}

// agentRoot is where the workstation puts agents, each in a directory named by
// its version.
const agentRoot = "/usr/local/lib/flock"

// agentVersion is what the workstation called this program when it installed it;
// any other copy goes by the start of its SHA-256.
func agentVersion() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if dir := filepath.Dir(path); filepath.Dir(dir) == agentRoot {
		return filepath.Base(dir), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

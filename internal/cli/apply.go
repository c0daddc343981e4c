package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newApply(a *app) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "apply [NETWORK...]",
		Short: "make the servers look as the cluster file says",
		Long: `Contact every server, or the members of some networks, and make it look as the cluster
file says: what is pending is finished, what drifted is repaired, the rest is not touched.

With -f the cluster becomes what FILE ('-': the standard input) says first: what
is not in it is removed; values that it leaves out stay as allocated or get their default.
A file that uses this workstation, a key file or a jump host for the first time asks.

  flock apply
  flock apply -f cluster.toml --dry-run`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteNetworks(1 << 30),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return a.apply(cmd.Context(), args)
			}
			w, err := a.readDesired(file)
			if err != nil {
				return err
			}
			return a.adopt(cmd.Context(), w, args)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "make the cluster what this `FILE` says")
	return cmd
}

func (a *app) apply(ctx context.Context, networks []string) error {
	return a.Alter(ctx, command.Alter{
		Request: change.Request{All: true, Networks: networks, Await: &change.Await{}},
		About:   networks,
		Said:    applied,
	})
}

func applied(out *change.Outcome) string {
	count := 0
	for _, s := range out.Servers {
		if out.Cluster.Servers[s.Name] != nil { // not one that is gone
			count++
		}
	}
	return view.Plural(count, "server") + " as the cluster file says"
}

// desired is a cluster from a file or an earlier generation.
type desired struct {
	*state.Cluster
	locate  func(error) error // adds the line to an error about it
	foreign bool              // anybody may have written it
	came    *consequences
}

// consequences are what an edit removes, and what it uses of the workstation.
type consequences struct {
	gone   []string // servers that are removed
	brings []string // what it is the first to use of the workstation
}

// readDesired reads a cluster file that somebody wrote.
func (a *app) readDesired(file string) (desired, error) {
	s, err := a.Store()
	if err != nil {
		return desired{}, err
	}
	var data []byte
	if file == "-" {
		data, err = plainfile.Limit(a.In, plainfile.MostCluster)
	} else {
		data, err = plainfile.ReadPipe(file, plainfile.MostCluster)
	}
	if err != nil {
		return desired{}, command.Usage(hint.With(fmt.Errorf("read the cluster file: %w", err), file, "-f FILE with a cluster file, as in examples/"))
	}
	if saysNothing(data) {
		return desired{}, command.Usage(hint.Errorf(file, "-f FILE with a cluster file, as in examples/; schema = 1 alone is a cluster without servers", "the cluster file says nothing"))
	}
	c, err := s.Parse(data, file)
	if err != nil {
		return desired{}, command.Usage(err)
	}
	for _, server := range c.Servers {
		if err := findIdentity(server); err != nil {
			return desired{}, err
		}
	}
	return desired{c, state.Source{Name: file, Data: data}.Locate, true, &consequences{}}, nil
}

// saysNothing is true of a file without a line of TOML: the empty output of a failed
// command, piped in, must not remove all networks.
func saysNothing(data []byte) bool {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// adopt makes w the desired state of the cluster.
func (a *app) adopt(ctx context.Context, w desired, networks []string) error {
	var removed []string
	return a.Alter(ctx, command.Alter{
		Request: change.Request{
			Edit: func(c *state.Cluster) error {
				was := c.Clone()
				err := w.adopt(c)
				removed = edit.Leaving(was, c, w.came.gone)
				return err
			},
			All: true, Networks: networks, Await: &change.Await{},
			Retire: func() []string { return w.came.gone },
		},
		About: networks,
		Notes: w.notes,
		Question: func() string {
			asked := slices.Clone(w.came.brings)
			if len(removed) > 0 {
				asked = append(asked, "remove "+view.Listed(removed))
			}
			if len(asked) == 0 {
				return ""
			}
			return strings.Join(asked, ", ") + "?"
		},
		Said: func(out *change.Outcome) string {
			if len(w.came.gone) == 0 {
				return applied(out)
			}
			return applied(out) + "\n" + view.Listed(w.came.gone) + " deleted"
		},
	})
}

// adopt edits c to be as w, and notes the consequences.
func (w desired) adopt(c *state.Cluster) (err error) {
	was := c.Clone()
	w.came.gone, err = edit.Replace(c, w.Cluster)
	w.came.brings = nil
	if w.foreign && err == nil {
		w.came.brings = edit.Bringing(was, c)
	}
	return w.locate(err)
}

// notes lists, in a plan, what the file would use of the workstation.
func (w desired) notes() []ground.Note {
	var out []ground.Note
	for _, text := range w.came.brings {
		out = append(out, ground.Note{Network: "cluster file", Text: "it would " + text})
	}
	return out
}

package cli

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/graph"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// Forms of a picture.
const (
	formSVG     = "svg"
	formHTML    = "html"
	formMermaid = "mermaid"
	formDot     = "dot"
)

func newGraph(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "graph [NETWORK...]",
		Short: "draw the servers and networks, with what is known of their health",
		Long: `Print a picture of the cluster: its networks, tunnels and BGP neighbours as lines, and on them
the servers, with their addresses, subnets and containers. With NETWORK only these, and their
members. Servers on the same networks stand in one group; a network of many members is one
line, not one between every two of them, and so are more than four tunnels of one server.

It is made of the cluster file and of what traffic last showed: nobody is contacted. Green (a
tick) is a network whose packets passed and a server that confirmed what the file says, red (a
cross) one whose packets did not pass, orange what is pending or lossy, grey what was never
tried. 'flock verify' refreshes that.

Forms: svg (the default), a drawing for browsers and Markdown pages, light or dark as the
reader's screen; html, a page of its own with zoom, search, and the details of what is pointed
at; mermaid and dot, for Mermaid and Graphviz to lay out; json, what is drawn.

  flock graph >net.svg
  flock graph -o html >net.html
  flock graph vx1 -o dot | dot -Tpdf >vx1.pdf`,
		Args:              command.Between(0, 1<<30),
		Annotations:       command.Forms(formSVG, formHTML, formMermaid, formDot, view.FormJSON),
		ValidArgsFunction: a.CompleteNetworks(1 << 30),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.graph(cmd.Context(), args) },
	}
}

func (a *app) graph(ctx context.Context, names []string) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	if err := command.KnownNetworks(r.Cluster, names); err != nil {
		return err
	}
	views := slices.DeleteFunc(r.Networks(), func(v *view.Network) bool { return len(names) > 0 && !slices.Contains(names, v.Name) })
	m := graph.Build(r.Cluster, views, view.Servers(r.Cluster, change.Pending(r.Cluster, r.Compiled)), len(names) == 0)
	if a.Output == view.FormJSON {
		return cmp.Or(a.PrintJSON(m), r.Fault(a.App))
	}
	draw := map[string]func() string{formSVG: m.SVG, formHTML: m.HTML, formMermaid: m.Mermaid, formDot: m.Dot}[a.Output]
	if _, err := io.WriteString(a.Out, draw()); err != nil {
		return err
	}
	if a.OutTTY {
		a.Say("next: %s -o %s >FILE", strings.Join(append([]string{"flock graph"}, names...), " "), a.Output)
	}
	return r.Fault(a.App)
}

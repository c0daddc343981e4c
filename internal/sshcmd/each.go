package sshcmd

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newEach(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "each [SERVER...] -- COMMAND...",
		Short: "run a command on servers, side by side",
		Long: `Run a command on servers, on all without a name, side by side, over the connections that
flock makes. It runs in the login's shell, as the login and not as root, without input. Each
line that it prints is shown as it comes, behind the server's name.

Exit status 1 when the command fails on a server, 3 when a server cannot be reached.

  flock each -- uptime
  flock each s1 s2 -- 'ip -br link | grep vxl0'
  flock each -o json -- uname -r`,
		Args:              cobra.ArbitraryArgs, // checked below, with the --
		ValidArgsFunction: a.Complete(1<<30, func(c *state.Cluster, _ []string, _ string) []string { return c.ServerNames() }),
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 || dash == len(args) {
				return command.Refuse("flock each SERVER -- COMMAND", "each needs a command, behind --")
			}
			return a.each(cmd.Context(), args[:dash], strings.Join(args[dash:], " "))
		},
	}
}

// EachDoc is what a command came to on servers, as JSON.
type EachDoc struct {
	Servers []ranDoc `json:"servers"`
}

// ranDoc is what a command printed on a server, and how it ended.
type ranDoc struct {
	Server string `json:"server"`
	Status int    `json:"status"` // -1: it was not run to its end
	Out    string `json:"out"`
	Err    string `json:"err"`
	Cut    bool   `json:"cut,omitempty"`   // it printed more than is kept
	Error  string `json:"error,omitempty"` // why it was not
}

func (a *app) each(ctx context.Context, names []string, line string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if err := command.KnownServers(c, names...); err != nil {
		return err
	}
	if len(names) == 0 {
		names = c.ServerNames()
	}
	if len(names) == 0 {
		return command.NoServer()
	}
	var ran []change.Ran
	lines := newServerLines(a, names)
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		ran, err = e.Each(ctx, names, line, lines.out, lines.errs)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON() {
		err = a.PrintJSON(EachDoc{lines.docs(ran)})
	} else {
		lines.end()
		err = lines.failed
	}
	if err != nil {
		return err
	}
	return a.eachEnded(ran)
}

// eachEnded tells where the command failed, and is the exit status.
func (a *app) eachEnded(ran []change.Ran) error {
	failed, away := false, false
	for _, r := range ran {
		switch {
		case r.Err != nil:
			away = true
			a.Report(r.Err)
		case r.Status != 0:
			failed = true
			a.Say("%s: exit status %d", r.Server, r.Status)
		}
	}
	switch {
	case away:
		return command.Exit(command.ExitPartial)
	case failed:
		return command.Exit(command.ExitFailed)
	}
	return nil
}

// serverLines take in what servers print, and show it line by line behind their names; what
// is printed as JSON is kept instead.
type serverLines struct {
	a      *app
	all    map[string]*[2]serverLine
	mu     sync.Mutex // guards both streams, and below
	failed error      // of the standard output
}

// Bounds of what a server may have the workstation keep, in bytes: a line that does not end is
// shown in parts, and of what is printed as JSON the first is kept, of each stream.
const (
	longestLine = 64 << 10
	mostKept    = 16 << 20
)

// serverLine is one stream of one server.
type serverLine struct {
	lines  *serverLines
	server string
	errs   bool
	rest   bytes.Buffer // no line yet, or all of it
	cut    bool         // there was more than is kept
}

func newServerLines(a *app, servers []string) *serverLines {
	l := &serverLines{a: a, all: map[string]*[2]serverLine{}}
	for _, s := range servers {
		l.all[s] = &[2]serverLine{{lines: l, server: s}, {lines: l, server: s, errs: true}}
	}
	return l
}

func (l *serverLines) out(server string) io.Writer  { return &l.all[server][0] }
func (l *serverLines) errs(server string) io.Writer { return &l.all[server][1] }

// Write shows each whole line.
func (s *serverLine) Write(b []byte) (int, error) {
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	s.rest.Write(b)
	if s.lines.a.JSON() {
		if over := s.rest.Len() - mostKept; over > 0 {
			s.rest.Truncate(mostKept)
			s.cut = true
		}
		return len(b), nil
	}
	for bytes.IndexByte(s.rest.Bytes(), '\n') >= 0 {
		line, _ := s.rest.ReadString('\n')
		s.show(strings.TrimSuffix(line, "\n"))
	}
	if s.rest.Len() > longestLine {
		s.show(s.rest.String())
		s.rest.Reset()
	}
	return len(b), nil
}

// show prints a line. A tab stays one; on a terminal other characters that would move the
// cursor are shown instead.
func (s *serverLine) show(line string) {
	w, tty := s.lines.a.Out, s.lines.a.OutTTY
	if s.errs {
		w, tty = s.lines.a.Err, s.lines.a.ErrTTY
	}
	if tty {
		parts := strings.Split(strings.TrimSuffix(line, "\r"), "\t")
		for i := range parts {
			parts[i] = screen.Visible(parts[i])
		}
		line = strings.Join(parts, "\t")
	}
	if _, err := io.WriteString(w, s.server+": "+line+"\n"); err != nil && !s.errs && s.lines.failed == nil {
		s.lines.failed = err
	}
}

// end shows last lines that no line end followed.
func (l *serverLines) end() {
	for _, name := range slices.SortedFunc(maps.Keys(l.all), screen.ByName) {
		for i := range l.all[name] {
			if s := &l.all[name][i]; s.rest.Len() > 0 {
				s.show(s.rest.String())
			}
		}
	}
}

func (l *serverLines) docs(ran []change.Ran) []ranDoc {
	docs := []ranDoc{}
	for _, r := range ran {
		out, errs := &l.all[r.Server][0], &l.all[r.Server][1]
		d := ranDoc{Server: r.Server, Status: r.Status, Out: out.rest.String(), Err: errs.rest.String(), Cut: out.cut || errs.cut}
		if r.Err != nil {
			d.Error = screen.Message(r.Err)
		}
		docs = append(docs, d)
	}
	return docs
}

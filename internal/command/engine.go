package command

import (
	"context"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Engine carries changes out: *change.Engine, or a stand-in where only the command line
// is tested.
type Engine interface {
	Run(context.Context, change.Request) (*change.Outcome, error)
	Status(ctx context.Context, networks, servers []string) (*change.Outcome, error)
	Purge(ctx context.Context, server string, login state.Server) (*spec.Report, error)
	Containers(ctx context.Context, server string) ([]spec.Container, error)
	Verify(ctx context.Context, networks []string, effort change.Effort) (*change.Verification, error)
	Each(ctx context.Context, servers []string, line string, out, errs func(server string) io.Writer) ([]change.Ran, error)
	Probe(ctx context.Context, servers []string, ports []int, all bool) (*change.Probing, error)
	Doctor(ctx context.Context, servers []string, mend map[string][]string) (*change.Diagnosis, error)
	Trace(ctx context.Context, from, to, proto, by string) (*change.Traced, error)
	Capture(ctx context.Context, points []capture.Point, within time.Duration, begun func(map[int]capture.Source, map[int]error) error, take func(capture.Taken) bool) error
	Copies(ctx context.Context, c *state.Cluster, servers []string) (map[string][]spec.Copied, []change.Server, error)
	BGP(ctx context.Context, servers []string, until func([]change.Speaker) bool, within time.Duration) ([]change.Speaker, error)
	RequestBGP(ctx context.Context, o change.BGPRequest) (answer, last change.Speaker, err error)
}

// Store is the cluster file that flags and environment name.
func (a *App) Store() (*state.Store, error) {
	path := a.statePath()
	if path == "" {
		var err error
		if path, err = state.DefaultPath(a.Cluster(), a.Getenv); err != nil {
			return nil, Usage(err)
		}
	} else if err := state.CheckName("cluster", a.Cluster()); err != nil {
		return nil, Usage(err)
	}
	s := state.Open(path, a.Cluster())
	s.Version = a.Version
	return s, nil
}

// Load reads the cluster file without its lock.
func (a *App) Load(ctx context.Context) (*state.Cluster, error) {
	s, err := a.Store()
	if err != nil {
		return nil, err
	}
	return s.Load(ctx)
}

// Work calls do with an engine that shows its progress on the screen, and clears the
// screen afterwards.
func (a *App) Work(do func(Engine, *Progress) (*change.Outcome, error)) (*change.Outcome, error) {
	var out *change.Outcome
	err := a.With(func(e Engine, p *Progress) (err error) {
		out, err = do(e, p)
		return err
	})
	if out != nil {
		slices.SortFunc(out.Servers, func(x, y change.Server) int { return screen.ByName(x.Name, y.Name) })
	}
	return out, err
}

// With calls do with an engine, as work does.
func (a *App) With(do func(Engine, *Progress) error) error {
	s, err := a.Store()
	if err != nil {
		return err
	}
	p := NewProgress(a)
	defer p.Stop()
	s.Waiting = func(h state.Holder) { p.Note("waiting for " + h.String()) }
	engine := a.Connect
	if engine == nil {
		engine = connect
	}
	return do(engine(a, s, p), p)
}

// Dialer is who logs in to servers. It asks nobody anything.
func (a *App) Dialer() *remote.Dialer {
	control, err := state.DefaultPath("control", a.Getenv)
	if err != nil {
		control = "" // without a home there are no connections that stay
	}
	return &remote.Dialer{
		Control:   strings.TrimSuffix(control, ".toml"),
		SSHConfig: a.sshConfig(), Timeout: a.flags.timeout, Connect: a.flags.connect, AcceptNew: a.flags.acceptNew, Anew: a.flags.anew,
		Command: ShellLine(a.Args), NamesKey: a.namesKey,
	}
}

// connect makes the engine that reaches real servers.
func connect(a *App, s *state.Store, p *Progress) Engine {
	d := a.Dialer()
	d.Secret = a.secret(p)
	if a.InTTY {
		d.Ask = func(question string) (bool, error) { return a.Ask(p, question) }
	}
	if a.Verbose {
		d.Verbose = func(server, line string) { p.Note(server + ": " + line) }
	}
	return &change.Engine{Store: s, Dialer: d, Parallel: a.flags.parallel, Holder: a.holder(), Getenv: a.Getenv, Progress: p.Show, Touching: a.Touched}
}

// holder is who changes what: it is shown to others that wait for the lock, and in the
// history.
func (a *App) holder() string {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	const most = 200 // bytes: it is shown on one line
	what := strings.ToValidUTF8(strings.Join(a.Args, " "), "?")
	if len(what) > most {
		what = strings.ToValidUTF8(what[:most], "") + "…"
	}
	return who + ", flock " + what
}

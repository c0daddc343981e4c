package cli

import (
	"context"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// engine carries changes out: *change.Engine, or a stand-in where only the command line
// is tested.
type engine interface {
	Run(context.Context, change.Request) (*change.Outcome, error)
	Status(ctx context.Context, networks, servers []string) (*change.Outcome, error)
	Purge(ctx context.Context, server string, login state.Server) (*spec.Report, error)
	Containers(ctx context.Context, server string) ([]spec.Container, error)
	BGP(ctx context.Context, servers []string, until func([]change.Speaker) bool, within time.Duration) ([]change.Speaker, error)
}

// store is the cluster file that flags and environment name.
func (a *app) store() (*state.Store, error) {
	path := a.statePath()
	if path == "" {
		var err error
		if path, err = state.DefaultPath(a.cluster(), a.Getenv); err != nil {
			return nil, usage{err}
		}
	} else if err := state.CheckName("cluster", a.cluster()); err != nil {
		return nil, usage{err}
	}
	s := state.Open(path, a.cluster())
	s.Version = version()
	return s, nil
}

// load reads the cluster file without its lock.
func (a *app) load(ctx context.Context) (*state.Cluster, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	return s.Load(ctx)
}

// work calls do with an engine that shows its progress on the screen, and clears the
// screen afterwards.
func (a *app) work(do func(engine, *progress) (*change.Outcome, error)) (*change.Outcome, error) {
	var out *change.Outcome
	err := a.with(func(e engine, p *progress) (err error) {
		out, err = do(e, p)
		return err
	})
	if out != nil {
		slices.SortFunc(out.Servers, func(x, y change.Server) int { return screen.ByName(x.Name, y.Name) })
	}
	return out, err
}

// with calls do with an engine, as work does.
func (a *app) with(do func(engine, *progress) error) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	p := newProgress(a)
	defer p.Stop()
	s.Waiting = func(h state.Holder) { p.Note("waiting for " + h.String()) }
	return do(a.connect(a, s, p), p)
}

// connect makes the engine that reaches real servers.
func connect(a *app, s *state.Store, p *progress) engine {
	d := &remote.Dialer{
		SSHConfig: a.sshConfig(), Timeout: a.flags.timeout, Connect: a.flags.connect, AcceptNew: a.flags.acceptNew,
		Secret: a.secret(p), Command: shellLine(a.args), NamesKey: a.namesKey,
	}
	if a.InTTY {
		d.Ask = func(question string) (bool, error) { return a.ask(p, question) }
	}
	if a.Verbose {
		d.Verbose = func(server, line string) { p.Note(server + ": " + line) }
	}
	return &change.Engine{Store: s, Dialer: d, Parallel: a.flags.parallel, Holder: a.holder(), Progress: p.event, Touching: func() { a.touched.Store(true) }}
}

// holder is who changes what: it is shown to others that wait for the lock, and in the
// history.
func (a *app) holder() string {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	const most = 200 // bytes: it is shown on one line
	what := strings.ToValidUTF8(strings.Join(a.args, " "), "?")
	if len(what) > most {
		what = strings.ToValidUTF8(what[:most], "") + "…"
	}
	return who + ", flock " + what
}

//go:build linux

package bgpctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/control"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// A server's BGP speaker is a daemon of its own (package bgp), which owns the
// kernel's routes of spec.RouteProtoBGP. The agent writes what it is to do into
// files, has it take them up, and asks it what it does. Nothing here speaks BGP.

// Daemon is the process that speaks BGP for a cluster.
func Daemon(s *host.Files) unit.Daemon {
	return unit.Daemon{
		Name: "bgp", Mark: s.Cluster, Description: "BGP of flock cluster " + s.Cluster,
		Args: []string{"agent", "bgp", s.Cluster},
	}
}

func bgpFile(s *host.Files) string { return filepath.Join(s.Dir(), spec.BGPFile) }

func workstationFile(s *host.Files) string { return filepath.Join(s.Dir(), spec.WorkstationFile) }

// NoteWorkstation notes where this session comes from: no learned route takes the way to
// there. Without a session, at boot and by an undo, that is where the last one came from.
func NoteWorkstation(s *host.Files) error {
	a := host.Workstation()
	if !a.IsValid() {
		return nil
	}
	_, err := sysfile.WriteIfOther(workstationFile(s), a.String()+"\n", 0o600)
	return err
}

func secretFile(s *host.Files, id string) string {
	return filepath.Join(s.Dir(), spec.BGPSecretFile(id))
}

// secretFiles are the paths of the files with passwords.
func secretFiles(s *host.Files) ([]string, error) {
	begin, end, _ := strings.Cut(spec.BGPSecretFile("*"), "*")
	return sysfile.List(s.Dir(), begin, end)
}

// bgpTraces are the files that a BGP speaker of this cluster has here.
func bgpTraces(s *host.Files) ([]string, error) {
	secrets, err := secretFiles(s)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	all := spec.Without(slices.Concat([]string{bgpFile(s), workstationFile(s)}, secrets, []string{
		s.Units.Path(s.Units.Name(Daemon(s).Name)),
		filepath.Join(s.RunDir(), spec.BGPSocket), filepath.Join(s.RunDir(), spec.BGPAPISocket), filepath.Join(s.RunDir(), spec.BGPRunningMarker),
	}), func(path string) bool { _, err := os.Lstat(path); return err != nil })
	former, err := s.Units.Former(Daemon(s).Name)
	if former != "" {
		all = append(all, s.Units.Path(former))
	}
	return all, err
}

// observeBGP fills in have.BGP with what the daemon says it does. One that does not
// answer does nothing: its AS is 0.
func observeBGP(ctx context.Context, s *host.Files, have *spec.Host) error {
	traces, err := bgpTraces(s)
	if err != nil || len(traces) == 0 {
		return err
	}
	have.BGP = &spec.BGP{}
	if last := s.Last(); last != nil && last.BGP != nil {
		have.BGP.Network = last.BGP.Network
	}
	if a, err := askBGP(ctx, s, spec.BGPRequest{Op: spec.BGPLook}); err == nil && a.Running != nil && sysfile.Exists(bgpFile(s)) {
		have.BGP = a.Running
	}
	for i, n := range have.BGP.Neighbors {
		if n.Secret != "" && !sysfile.Exists(secretFile(s, n.Secret)) {
			have.BGP.Neighbors[i].Secret = "" // the next start would lack it
		}
	}
	return nil
}

// bgpWithin bounds how long the daemon may take to answer.
const bgpWithin = 30 * time.Second

// askBGP gives the daemon an order.
func askBGP(ctx context.Context, s *host.Files, order spec.BGPRequest) (*spec.BGPAnswer, error) {
	a := &spec.BGPAnswer{}
	if err := control.Ask(ctx, filepath.Join(s.RunDir(), spec.BGPSocket), bgpWithin, order, a); err != nil {
		return nil, fmt.Errorf("ask the BGP daemon: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("the BGP daemon: %s", a.Error)
	}
	return a, nil
}

// setBGP has the daemon do what b says: it takes changes up while it runs, and is
// started anew only where that does not do.
func setBGP(ctx context.Context, s *host.Files, b *spec.BGP) error {
	if err := writeSecrets(s, b); err != nil {
		return err
	}
	if err := NoteWorkstation(s); err != nil {
		return err
	}
	data, err := wire.Marshal(b)
	if err != nil {
		return fmt.Errorf("write the BGP daemon's configuration: %w", err)
	}
	if _, err := sysfile.WriteIfOther(bgpFile(s), string(data)+"\n", 0o600); err != nil {
		return err
	}
	if s.Units.PID(Daemon(s)) != 0 {
		a, err := askBGP(ctx, s, spec.BGPRequest{Op: spec.BGPReload})
		if err == nil && !a.Restart {
			return nil
		}
		if a != nil && err != nil {
			return err
		}
	}
	if err := s.Units.Start(ctx, Daemon(s)); err != nil {
		return err
	}
	_, err = askBGP(ctx, s, spec.BGPRequest{Op: spec.BGPLook})
	return err
}

// writeSecrets puts the passwords that came with the request into files of root.
func writeSecrets(s *host.Files, b *spec.BGP) error {
	for _, n := range b.Neighbors {
		password, given := s.Secrets[n.Secret]
		switch {
		case n.Secret == "":
		case given:
			if _, err := sysfile.WriteIfOther(secretFile(s, n.Secret), password, 0o600); err != nil {
				return err
			}
		case !sysfile.Exists(secretFile(s, n.Secret)):
			p := missingSecret(b.Network, n)
			return hint.With(errors.New(p.What), "", p.Next)
		}
	}
	return nil
}

// MissingSecrets are the passwords that want names and that neither the server has
// nor the request brings.
func MissingSecrets(s *host.Files, want *spec.Host, given map[string]string) []spec.Problem {
	if want.BGP == nil {
		return nil
	}
	var out []spec.Problem
	for _, n := range want.BGP.Neighbors {
		if _, comes := given[n.Secret]; n.Secret != "" && !comes && !sysfile.Exists(secretFile(s, n.Secret)) {
			out = append(out, missingSecret(want.BGP.Network, n))
		}
	}
	return out
}

func missingSecret(network string, n spec.BGPNeighbor) spec.Problem {
	return spec.Problem{
		What: fmt.Sprintf("the password of BGP neighbor %s is not on the server", n.Addr),
		Next: fmt.Sprintf("give it again: flock addbgp %s external SERVER %s --as %d --password-file FILE", network, n.Addr, n.AS),
	}
}

// DropSecrets removes the passwords that h does not name.
func DropSecrets(s *host.Files, h *spec.Host) error {
	found, err := secretFiles(s)
	if err != nil {
		return fmt.Errorf("list passwords: %w", err)
	}
	return sysfile.Remove(spec.Without(found, func(path string) bool {
		return h.BGP != nil && slices.ContainsFunc(h.BGP.Neighbors, func(n spec.BGPNeighbor) bool { return secretFile(s, n.Secret) == path })
	})...)
}

// upgrade has the daemon run this program, if it runs another version: routes
// and, with them, traffic survive that.
func upgrade(ctx context.Context, s *host.Files) error {
	d := Daemon(s)
	pid := s.Units.PID(d)
	if pid == 0 {
		return nil
	}
	self, err := unit.OwnProgram()
	if err != nil {
		return err
	}
	runs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil //nolint:nilerr // it ended meanwhile, which the next look finds
	}
	if strings.TrimSuffix(runs, " (deleted)") == self {
		return s.Units.Rename(ctx, d)
	}
	return s.Units.Start(ctx, d)
}

// removeBGP ends the daemon for good and takes away what is left of it. Its routes
// go with it; should it not be able to, they go after it.
func removeBGP(ctx context.Context, k *host.Host) error {
	s := k.Files
	// Neighbours learn that it is for good. One that does not answer is stopped.
	_, _ = askBGP(ctx, s, spec.BGPRequest{Op: spec.BGPEnd})
	if err := s.Units.Stop(ctx, Daemon(s)); err != nil {
		return err
	}
	if err := dropBGPRoutes(k); err != nil {
		return err
	}
	traces, err := bgpTraces(s)
	if err != nil {
		return err
	}
	return sysfile.Remove(traces...)
}

// bgpRoutes are the routes of BGP daemons. A server has one daemon at most, whose
// files say which cluster's it is.
func bgpRoutes(k *host.Host) ([]netlink.Route, error) {
	ours := &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: spec.RouteProtoBGP}
	list, err := rtnl.Dump(func() ([]netlink.Route, error) {
		return k.Handle.RouteListFiltered(netlink.FAMILY_ALL, ours, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return nil, fmt.Errorf("list BGP routes: %w", err)
	}
	return spec.Without(list, func(r netlink.Route) bool { return r.Priority != spec.BGPMetric }), nil
}

func dropBGPRoutes(k *host.Host) error {
	list, err := bgpRoutes(k)
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := k.Handle.RouteDel(&r); err != nil && !host.Gone(err) {
			return fmt.Errorf("remove the BGP route to %s: %w", r.Dst, err)
		}
	}
	return nil
}

// bgpRemains names what a BGP speaker of this cluster has here.
func bgpRemains(k *host.Host) ([]string, error) {
	traces, err := bgpTraces(k.Files)
	if err != nil || len(traces) == 0 {
		return nil, err
	}
	routes, err := bgpRoutes(k)
	traces = spec.Without(traces, func(path string) bool { return strings.HasSuffix(path, unit.Suffix) }) // named with the units
	for _, r := range routes {
		traces = append(traces, "BGP route "+host.ToPrefix(r.Dst).String())
	}
	return traces, err
}

// Status has the cluster's daemon do what more asks, nothing if it is nil, and say how it
// is then; nil where there is no daemon.
func Status(ctx context.Context, s *host.Files, more *spec.BGPRequest) (*spec.BGPStatus, error) {
	traces, err := bgpTraces(s)
	if err != nil || len(traces) == 0 {
		return nil, err
	}
	request := spec.BGPRequest{Op: spec.BGPLook}
	if more != nil {
		request = *more
	}
	request.Status = true
	a, err := askBGP(ctx, s, request)
	if err != nil {
		return nil, hint.With(err, "", "flock apply; and journalctl -u "+s.Units.Name(Daemon(s).Name))
	}
	return a.Status, nil
}

// Family is the BGP daemon of a server.
var Family = family.Family{
	Stage: family.StageBGP, What: "services: look at the BGP daemon",
	Observe: func(ctx context.Context, k *host.Host, _, have *spec.Host) error {
		return observeBGP(ctx, k.Files, have)
	},
	Diff: func(d *family.Difference) { d.Put(diffBGP(d.Want.BGP, d.Have.BGP), family.Going, family.Serving) },
	All:  applyBGP,
	Tried: family.Tried{
		Files: func(*host.Files, family.Op) ([]string, bool) { return nil, true },
		// What the daemon needs besides its spec may have come only now.
		Moved: func(_ *host.Host, want *spec.Host) bool { return want.BGP != nil },
	},
	Daemons: func(s *host.Files, _ *spec.Host) []unit.Daemon { return []unit.Daemon{Daemon(s)} },
	Run: func(ctx context.Context, s *host.Files, want *spec.Host) error {
		if want.BGP == nil {
			return nil
		}
		return upgrade(ctx, s)
	},
	Apart:   true,
	Remains: bgpRemains,
}

// applyBGP brings the BGP daemon to what is wanted.
func applyBGP(ctx context.Context, a *family.Applier, ops []family.Op) error {
	if err := a.Up(); err != nil {
		return err
	}
	do := func() error { return removeBGP(ctx, a.Host) }
	if a.Want.BGP != nil {
		do = func() error { return setBGP(ctx, a.Host.Files, a.Want.BGP) }
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", family.Verb(ops[0].Step), err)
	}
	return nil
}

//go:build linux

package dropin

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
	"github.com/flocknet/flock/templates"
)

// systemd-networkd takes up every link that some .network file matches (a
// catch-all is common in cloud images) and then removes addresses and routes it
// does not know (systemd#19106, #22077, #25451); systemd 252 also took a tunnel out
// of its bridge. NetworkManager takes up whatever nobody told it to leave. Drop-ins
// are written where such a daemon runs. udev needs none: it rewrites the MAC of
// links that got a random one (flannel#1155), and ours are created with theirs.

// dropIn is the file for one network daemon.
type dropIn struct {
	path   string
	there  bool // the daemon has run here since boot
	unit   string
	text   func(templates.Unmanaged) (string, error)
	reload []string // makes the daemon read it
}

func networkDaemons(s *host.Files) []dropIn {
	paths := dropIns(s)
	return []dropIn{
		{
			path: paths[0], there: sysfile.Exists(s.Paths.Netif), unit: "systemd-networkd.service",
			text: templates.Unmanaged.Networkd, reload: []string{"networkctl", "reload"},
		},
		{
			path: paths[1], there: sysfile.Exists(s.Paths.NMRun) && sysfile.Exists(filepath.Dir(s.Paths.NM)), unit: "NetworkManager.service",
			text: templates.Unmanaged.NetworkManager, reload: []string{"systemctl", "reload", "NetworkManager.service"},
		},
	}
}

// dropIns are the paths of the drop-ins, there or not. Networkd takes the first
// file that matches: ours sorts before what distributions and netplan write.
func dropIns(s *host.Files) []string {
	return []string{
		filepath.Join(s.Paths.Network, "00-flock-"+s.Cluster+".network"),
		filepath.Join(s.Paths.NM, "flock-"+s.Cluster+".conf"),
	}
}

// observeDropIns is what the files of daemons say. Where none of them runs, what is
// wanted is there already.
func observeDropIns(s *host.Files, daemons []dropIn, want []spec.Unmanage) ([]spec.Unmanage, error) {
	var wanted spec.Unmanage
	if len(want) > 0 {
		wanted = want[0]
	}
	stands, other := len(want) > 0, ""
	for _, d := range daemons {
		text, err := sysfile.ReadIfThere(d.path)
		if err != nil {
			return nil, err
		}
		expected := text
		if len(want) > 0 && (d.there || text != "") {
			if expected, err = dropInText(s, d, wanted); err != nil {
				return nil, err
			}
		}
		unread := sysfile.Exists(s.Units.Unread(d.path))
		if text != expected || unread {
			stands = false
		}
		if text != "" || unread {
			other = text + "\n"
		}
	}
	switch {
	case stands:
		return []spec.Unmanage{wanted}, nil
	case other != "":
		var u spec.Unmanage
		if wire.Unmarshal([]byte(sysfile.Spec(other)), &u) != nil || slices.Equal(u.Links, wanted.Links) {
			u = spec.Unmanage{} // damaged: differs from whatever is wanted
		}
		return []spec.Unmanage{u}, nil
	}
	return nil, nil
}

func dropInText(s *host.Files, d dropIn, u spec.Unmanage) (string, error) {
	data, err := wire.Marshal(u)
	if err != nil {
		return "", fmt.Errorf("encode links: %w", err)
	}
	return d.text(templates.Unmanaged{Mark: s.Cluster, Spec: string(data), Links: u.Links})
}

// setDropIns tells those of daemons that run here to leave u's links alone.
func setDropIns(ctx context.Context, s *host.Files, daemons []dropIn, u spec.Unmanage) error {
	for _, d := range daemons {
		if !d.there && !sysfile.Exists(d.path) {
			continue
		}
		text, err := dropInText(s, d, u)
		if err != nil {
			return err
		}
		if err := loadDropIn(ctx, s, d, text); err != nil {
			return fmt.Errorf("set links to leave alone: %w", err)
		}
	}
	return nil
}

// removeDropIns removes the files of daemons.
func removeDropIns(ctx context.Context, s *host.Files, daemons []dropIn) error {
	for _, d := range daemons {
		if err := loadDropIn(ctx, s, d, ""); err != nil {
			return fmt.Errorf("remove drop-in: %w", err)
		}
	}
	return nil
}

func loadDropIn(ctx context.Context, s *host.Files, d dropIn, text string) error {
	_, err := s.Units.LoadFile(ctx, unit.File{
		Path: d.path, Text: text, Known: true,
		Reload: func(ctx context.Context) error { return reload(ctx, s, d) },
	})
	return err
}

// reload makes a daemon read its files again if it runs.
func reload(ctx context.Context, s *host.Files, d dropIn) error {
	if !runs(ctx, s, d) {
		return nil
	}
	return unit.Run(ctx, d.reload[0], d.reload[1:]...)
}

func runs(ctx context.Context, s *host.Files, d dropIn) bool {
	return d.there && s.Units.HasSystemd() && unit.Run(ctx, "systemctl", "--quiet", "is-active", d.unit) == nil
}

// told is what a program is told of links, which is one object; none where there are no links.
func told(links []string) []spec.Unmanage {
	if len(links) == 0 {
		return nil
	}
	slices.Sort(links)
	return []spec.Unmanage{{Links: slices.Compact(links)}}
}

// compareTold compares what a program is told with what it was; object is its name in steps.
func compareTold(d *family.Difference, want, have []spec.Unmanage, object string) {
	name := func(text string) func(spec.Unmanage) string { return func(spec.Unmanage) string { return text } }
	d.Put(family.Compare(want, have, name(""), name(object)), family.Leaving, family.Coming)
}

// UnmanagedFamily is what network daemons are told to leave alone.
var UnmanagedFamily = family.Family{
	What: "services: look at network daemons' drop-ins",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		var err error
		have.Unmanaged, err = observeDropIns(k.Files, networkDaemons(k.Files), want.Unmanaged)
		return err
	},
	Diff: func(d *family.Difference) {
		compareTold(d, d.Want.Unmanaged, d.Have.Unmanaged, "unmanaged")
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		if want, ok := op.Want.(spec.Unmanage); ok {
			return setDropIns(ctx, a.Host.Files, networkDaemons(a.Host.Files), want)
		}
		return removeDropIns(ctx, a.Host.Files, networkDaemons(a.Host.Files))
	},
	Tried: family.Tried{Files: func(s *host.Files, _ family.Op) (dirs []string, systemd bool) {
		for _, d := range networkDaemons(s) {
			if d.there || sysfile.Exists(d.path) {
				dirs, systemd = append(dirs, filepath.Dir(d.path)), true
			}
		}
		return dirs, systemd
	}},
	Marked:  true,
	Remains: func(k *host.Host) ([]string, error) { return dropInRemains(k.Files) },
}

// dropInRemains names the drop-ins of network daemons.
func dropInRemains(s *host.Files) ([]string, error) {
	var out []string
	for _, path := range dropIns(s) {
		mark, err := sysfile.Mark(path)
		if err != nil {
			return nil, err
		}
		if mark == s.Cluster {
			out = append(out, path)
		}
	}
	return out, nil
}

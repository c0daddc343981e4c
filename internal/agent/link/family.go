//go:build linux

package link

import (
	"context"
	"errors"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Family is the links themselves.
var Family = family.Family{
	Stage: family.StageMake, What: "links",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		have.Links = observePorts(k, want)
		return observeLinks(k, have)
	},
	Diff: func(d *family.Difference) {
		c := diffLinks(d.Want.Links, d.Have.Links)
		d.Vanish = c.vanish
		for from, to := range c.renamed {
			d.Have = d.Have.Renamed(from, to)
		}
		d.Put(c.Pair, family.Clearing, family.Coming)
	},
	One:      applyLink,
	Underlay: linkUnderlay,
	Explain:  namePorts,
	Prepare:  notePorts,
	Finish: func(_ context.Context, k *host.Host, want *spec.Host) error {
		return storePorts(k, want, map[string]host.SettingNote{})
	},
	Tried: family.Tried{
		Claim: claimPorts,
		Files: func(_ *host.Files, op family.Op) ([]string, bool) {
			l, wanted := op.Want.(spec.Link)
			if !wanted {
				l = op.Have.(spec.Link)
			}
			return nil, l.Kind == spec.UDP
		},
		Watcher: linkWatcher,
	},
	Daemons: daemons,
	Run: func(ctx context.Context, s *host.Files, want *spec.Host) error {
		return errors.Join(finishDevices(ctx, s, want), finishResolver(ctx, s, want))
	},
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		if err := observeLinks(k, have); err != nil {
			return nil, err
		}
		var names []string
		for _, l := range have.Links {
			names = append(names, "link "+l.Name)
		}
		return names, nil
	},
}

// linkWatcher is the process that makes a new WireGuard device where the kernel has none.
func linkWatcher(k *host.Host, op family.Op) (string, error) {
	if l, ok := op.Want.(spec.Link); !ok || l.Kind != spec.WireGuard || op.Have != nil {
		return "", nil
	}
	here, err := WGHere(k)
	if err != nil || here != spec.UserspaceDevice {
		return "", err
	}
	return "a WireGuard device in userspace", nil
}

// applyLink makes, changes or deletes a link. One that is made stays down until what
// stands on it is there.
func applyLink(ctx context.Context, a *family.Applier, op family.Op) error {
	if err := a.Flush(ctx); err != nil { // what stood on it went first
		return err
	}
	want, wanted := op.Want.(spec.Link)
	have, found := op.Have.(spec.Link)
	if !wanted {
		return deleteLink(ctx, a.Host, have)
	}
	anew := !found
	var err error
	if found {
		anew, err = changeLink(ctx, a.Host, want, have)
	} else {
		err = NewLink(ctx, a.Host, want)
	}
	if err == nil && anew {
		a.Down = append(a.Down, want.Name)
	}
	return err
}

//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

var linkFamily = family{
	stage: stageMake, what: "links",
	observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error {
		observeLinks(k, have)
		return nil
	},
	diff:    func(d *difference) { d.put(d.links.pair, clearing, coming) },
	one:     applyLink,
	explain: namePorts,
	tried: tried{
		files: func(_ *host.Files, op Op) ([]string, bool) {
			l, wanted := op.Want.(spec.Link)
			if !wanted {
				l = op.Have.(spec.Link)
			}
			return nil, l.Kind == spec.UDP
		},
		watcher: linkWatcher,
	},
	marked: true,
	remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		observeLinks(k, have)
		var names []string
		for _, l := range have.Links {
			names = append(names, "link "+l.Name)
		}
		return names, nil
	},
}

// linkWatcher is the process that makes a new WireGuard device where the kernel has none.
func linkWatcher(k *host.Host, op Op) (string, error) {
	if l, ok := op.Want.(spec.Link); !ok || l.Kind != spec.WireGuard || op.Have != nil {
		return "", nil
	}
	here, err := wgHere(k)
	if err != nil || here != spec.UserspaceDevice {
		return "", err
	}
	return "a WireGuard device in userspace", nil
}

// applyLink makes, changes or deletes a link. One that is made stays down until what
// stands on it is there.
func applyLink(ctx context.Context, a *applier, op Op) error {
	if err := a.flush(ctx); err != nil { // what stood on it went first
		return err
	}
	want, wanted := op.Want.(spec.Link)
	have, found := op.Have.(spec.Link)
	if !wanted {
		return deleteLink(ctx, a.k, have)
	}
	anew := !found
	var err error
	if found {
		anew, err = changeLink(ctx, a.k, want, have)
	} else {
		err = newLink(ctx, a.k, want)
	}
	if err == nil && anew {
		a.raise = append(a.raise, want.Name)
	}
	return err
}

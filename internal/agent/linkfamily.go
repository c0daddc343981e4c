//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/spec"
)

var linkFamily = family{
	stage: stageMake, what: "links",
	observe: func(_ context.Context, k *Kernel, _, have *spec.Host) error {
		k.observeLinks(have)
		return nil
	},
	diff:    func(d *difference) { d.put(d.links.pair, clearing, coming) },
	one:     applyLink,
	explain: (*Kernel).namePorts,
	tried: tried{
		files: func(_ *services, op Op) ([]string, bool) {
			l, wanted := op.Want.(spec.Link)
			if !wanted {
				l = op.Have.(spec.Link)
			}
			return nil, l.Kind == spec.UDP
		},
		watcher: (*Kernel).linkWatcher,
	},
	remains: func(k *Kernel) ([]string, error) {
		have := &spec.Host{}
		k.observeLinks(have)
		var names []string
		for _, l := range have.Links {
			names = append(names, "link "+l.Name)
		}
		return names, nil
	},
}

// linkWatcher is the process that makes a new WireGuard device where the kernel has none.
func (k *Kernel) linkWatcher(op Op) (string, error) {
	if l, ok := op.Want.(spec.Link); !ok || l.Kind != spec.WireGuard || op.Have != nil {
		return "", nil
	}
	here, err := k.wgHere()
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
		return a.k.deleteLink(ctx, have)
	}
	anew := !found
	var err error
	if found {
		anew, err = a.k.changeLink(ctx, want, have)
	} else {
		err = a.k.newLink(ctx, want)
	}
	if err == nil && anew {
		a.raise = append(a.raise, want.Name)
	}
	return err
}

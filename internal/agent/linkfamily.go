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
	diff: func(d *difference) { d.put(d.links.pair, clearing, coming) },
	one:  applyLink,
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

//go:build linux

package agent

import (
	"context"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// obstacles are what stands in the way of want beside devices under our names: claims
// that do not hold, and all else that an apply of what was seen would need and miss.
func (k *Kernel) obstacles(ctx context.Context, want *spec.Host, seen *outlook, steps []spec.Step) ([]spec.Problem, error) {
	claims, err := checkClaims(ctx, k.Host, want)
	if err != nil {
		return nil, err
	}
	kinds, err := claimKinds(ctx, k.Host, want)
	if err != nil {
		return nil, err
	}
	inotify, err := claimInotify(k.Host, seen.ops)
	if err != nil {
		return nil, err
	}
	var ofFamilies, asked []spec.Problem
	for i, f := range families {
		if f.Claim != nil {
			list, err := f.Claim(ctx, k.Host, want, family.OpsOf(seen.ops, i))
			if err != nil {
				return nil, err
			}
			ofFamilies = append(ofFamilies, list...)
		}
	}
	needs := lacks(ctx, k.Files, seen.ops, steps)
	for i, f := range families {
		if f.Ask != nil {
			asked = append(asked, f.Ask(ctx, k.Host, want, family.OpsOf(seen.ops, i))...)
		}
	}
	return slices.Concat(claims, kinds, inotify, claimPorts(k.Host, want, seen.have, seen.ops), ofFamilies, needs, asked), nil
}

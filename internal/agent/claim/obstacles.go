//go:build linux

package claim

import (
	"context"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Obstacles are what stands in the way of want, by the families of a table, beside devices under our names: claims
// that do not hold, and all else that an apply of what was seen would need and miss.
func Obstacles(ctx context.Context, k *host.Host, table []*family.Family, want, have *spec.Host, ops []family.Op, steps []spec.Step) ([]spec.Problem, error) {
	claims, err := Check(ctx, k, want)
	if err != nil {
		return nil, err
	}
	kinds, err := claimKinds(ctx, k, want)
	if err != nil {
		return nil, err
	}
	inotify, err := claimInotify(k, table, ops)
	if err != nil {
		return nil, err
	}
	var ofFamilies, asked []spec.Problem
	for i, f := range table {
		if f.Claim != nil {
			list, err := f.Claim(ctx, k, want, family.OpsOf(ops, i))
			if err != nil {
				return nil, err
			}
			ofFamilies = append(ofFamilies, list...)
		}
	}
	needs := Lacks(ctx, k.Files, table, ops, steps)
	for i, f := range table {
		if f.Ask != nil {
			asked = append(asked, f.Ask(ctx, k, want, family.OpsOf(ops, i))...)
		}
	}
	return slices.Concat(claims, kinds, inotify, Ports(k, table, want, have, ops), ofFamilies, needs, asked), nil
}

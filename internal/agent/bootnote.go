//go:build linux

package agent

import (
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// noteSteps says which notes an apply of want makes anew.
func noteSteps(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	for _, l := range want.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		if _, _, err := s.Keys.InUse(l.Name); err != nil {
			return nil, err
		}
	}
	if len(s.Lost) == 0 {
		return nil, nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(s.Lost)), ", ")
	return []spec.Step{{Action: spec.Change, Object: "notes", Detail: names + " damaged or lost -> made anew"}}, nil
}

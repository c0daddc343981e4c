//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/flocknet/flock/internal/spec"
)

// binDir holds the agents, one directory per version.
const binDir = "/usr/local/lib/flock"

// purge removes everything of cluster, whatever store made it, and with the last
// cluster the agents too. There is no way back from it.
func (s *session) purge(ctx context.Context, cluster string) (*spec.Reply, error) {
	if s.armed != nil {
		return nil, errors.New("the last change is not confirmed yet")
	}
	k, err := s.kernel(cluster)
	if err != nil {
		return nil, err
	}
	nothing := &spec.Host{Cluster: cluster}
	report, err := reconcile(ctx, k, nothing, s.progress)
	if err != nil {
		report.Error = problem(err)
		return &spec.Reply{Report: report}, nil
	}
	if len(report.Pending) > 0 {
		return &spec.Reply{Report: report}, nil
	}
	if err := k.services.settle(ctx, nothing, report.Left); err != nil {
		return nil, err
	}
	switch _, err := os.Stat(s.paths.lib); {
	case err == nil: // other clusters need the agents
		return &spec.Reply{Report: report}, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("look for other clusters: %w", err)
	}
	if err := os.RemoveAll(binDir); err != nil {
		return nil, fmt.Errorf("remove agents: %w", err)
	}
	return &spec.Reply{Report: report}, nil
}

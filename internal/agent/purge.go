//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
	"golang.org/x/sys/unix"
)

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
	report, err := s.removeAll(ctx, k, &spec.Host{Cluster: cluster})
	// Whatever was done, what is there now is what counts.
	if rest := k.lookForRest(ctx, report); err == nil {
		err = rest
	}
	if err != nil {
		report.Error = host.Problem(err)
	}
	return &spec.Reply{Report: report}, nil
}

// removeAll makes the server hold nothing of the cluster, and without a cluster no agents.
func (s *session) removeAll(ctx context.Context, k *Kernel, nothing *spec.Host) (*spec.Report, error) {
	report, err := reconcile(ctx, k, nothing, s.progress)
	if err != nil || len(report.Pending)+report.Left > 0 {
		return report, err
	}
	if err := conclude(ctx, k.Files, nothing, report.Remains); err != nil {
		return report, err
	}
	switch _, err := os.Stat(s.paths.Lib); {
	case err == nil: // other clusters need the agents
		return report, nil
	case !errors.Is(err, os.ErrNotExist):
		return report, fmt.Errorf("look for other clusters: %w", err)
	}
	for _, dir := range spec.Places {
		if err := host.RemovePrograms(dir); err != nil && !errors.Is(err, unix.EROFS) {
			return report, fmt.Errorf("remove agents: %w", err)
		}
	}
	return report, nil
}

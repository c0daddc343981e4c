//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flocknet/flock/internal/agent/dropin"
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/filter"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/settings"
	"github.com/flocknet/flock/internal/agent/startup"
	"github.com/flocknet/flock/internal/spec"
)

// Parts of the table of families.
var (
	// earlyFamilies ask nobody and start no daemon of others. Those of the whole server's
	// settings are not among what they want: Docker goes by what it finds.
	earlyFamilies = []*family.Family{
		&link.Family, &settings.Family, &link.AddrFamily, &link.NeighFamily, &link.FDBFamily, &filter.Family, &link.RouteFamily, &dropin.EnvFamily,
	}
	rulesFamilies = []*family.Family{&filter.Family}
)

// Early makes what containers and guests of all clusters start on, before they do: links,
// as far as their underlay is there, and what stands on them. It waits for nothing, and
// changes nothing that is there: Boot does the rest.
func Early(ctx context.Context, progress io.Writer) error {
	there, err := addressesHere()
	if err != nil {
		return fmt.Errorf("look at addresses: %w", err)
	}
	leave := func(op family.Op) bool { return op.Step.Action != spec.Add }
	return partly(ctx, "boot --early", startup.EarlyLimit, progress, func(ctx context.Context, want *spec.Host, say func(string)) error {
		// Processes fail for more reasons: bridges are there by then.
		if err := makePart(ctx, earlyFamilies, link.Early(want, there, false), leave, say); err != nil {
			return err
		}
		return makePart(ctx, earlyFamilies, link.Early(want, there, true), leave, say)
	})
}

// Rules puts the packet filters of all clusters back, and does nothing else.
func Rules(ctx context.Context, progress io.Writer) error {
	return partly(ctx, "boot --rules", startup.RulesLimit, progress, func(ctx context.Context, want *spec.Host, say func(string)) error {
		return makePart(ctx, rulesFamilies, want, func(family.Op) bool { return false }, say)
	})
}

// partly does what makes a part of the last confirmed spec of each cluster. One cluster's
// trouble is none of another's.
func partly(ctx context.Context, what string, limit time.Duration, progress io.Writer, part func(context.Context, *spec.Host, func(string)) error) error {
	return starting(ctx, what, limit-startSpare, progress, func(ctx context.Context, paths host.Paths, say func(string)) error {
		clusters, err := paths.Clusters()
		errs := []error{err}
		for _, cluster := range clusters {
			want := host.NewFiles(cluster).Last()
			if want == nil || want.Empty() {
				continue
			}
			if err := part(ctx, want, say); err != nil {
				errs = append(errs, fmt.Errorf("boot cluster %s: %w", cluster, err))
			}
		}
		return errors.Join(errs...)
	})
}

// makePart is a round of Reconcile by a part of the table, which leaves out ops.
func makePart(ctx context.Context, table []*family.Family, want *spec.Host, leave func(family.Op) bool, say func(string)) (err error) {
	k, err := Open(want.Cluster)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	have, err := k.observe(ctx, table, want)
	if err != nil {
		return err
	}
	ops := spec.Without(family.Diff(table, want, have), leave)
	return family.NewApplier(k.Host, table, want, func(s spec.Step) { say(s.String()) }).Apply(ctx, ops)
}

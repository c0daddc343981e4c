//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// Kernel is this server as one cluster sees it, with what a Plan found there. It belongs
// to one goroutine, and to the network namespace of the thread that opened it.
type Kernel struct {
	*host.Host
	outlook *outlook    // by the last Plan, nil: it had problems, or was carried out
	watch   *rtnl.Watch // since the first Plan
}

// Open returns the server as seen by cluster. Close it.
func Open(cluster string) (*Kernel, error) {
	h, err := host.Open(cluster, installedAs())
	if err != nil {
		return nil, err
	}
	k := &Kernel{Host: h}
	h.Marked = k.marked
	return k, nil
}

// Close releases the sockets; nothing on the server changes.
func (k *Kernel) Close() error {
	var err error
	if k.watch != nil {
		err = k.watch.Close()
	}
	return errors.Join(err, k.Host.Close())
}

// Observe returns everything of this cluster on this server, in the type that
// says what is wanted. Want tells which foreign things to look at besides: the
// settings it names.
func (k *Kernel) Observe(ctx context.Context, want *spec.Host) (*spec.Host, error) {
	return k.observe(ctx, families, want)
}

// observe is Observe by the families of a table.
func (k *Kernel) observe(ctx context.Context, table []*family.Family, want *spec.Host) (*spec.Host, error) {
	have := &spec.Host{Cluster: k.Cluster, Store: want.Store, Server: want.Server, Generation: want.Generation}
	if err := k.Look(); err != nil {
		return nil, fmt.Errorf("look at devices, addresses and routes: %w", err)
	}
	for _, f := range table {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look at %s: %w", f.What, err)
		}
		if err := f.Observe(ctx, k.Host, want, have); err != nil {
			return nil, fmt.Errorf("look at %s: %w", f.What, err)
		}
	}
	return have, nil
}

// marked says whether objects that bear the cluster's mark are here: those need no
// memory to be known.
func (k *Kernel) marked() (bool, error) {
	for _, f := range families {
		if !f.Marked {
			continue
		}
		if names, err := f.Remains(k.Host); err != nil || len(names) > 0 {
			return len(names) > 0, err
		}
	}
	return false, nil
}

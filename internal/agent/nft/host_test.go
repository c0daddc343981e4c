//go:build linux

package nft

import (
	"testing"

	"github.com/flocknet/flock/internal/netspace"
)

// host is a server, or what it is connected with.
type host struct {
	*netspace.Space
	t testing.TB
}

func newHost(t testing.TB) *host {
	t.Helper()
	return &host{Space: netspace.New(t), t: t}
}

// newFilters are those of a program that notes nothing, on a server whose way out is eth0.
func newFilters(cluster string) *Filters {
	n := New(testServer(cluster))
	n.Uplinks = []string{"eth0"}
	return n
}

// testServer is whatever the thread's namespace is.
func testServer(cluster string) Server {
	return Server{Cluster: cluster, ProcNet: "/proc/thread-self/net"}
}

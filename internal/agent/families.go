//go:build linux

package agent

import (
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// families are all sorts of objects, in the order in which they come.
var families = []*family.Family{
	&unmanagedFamily, &linkFamily, &sysctlFamily, &addrFamily, &neighFamily, &fdbFamily, &peerFamily, &memberFamily,
	&filterFamily, &routeFamily, &dhcpFamily, &envFamily, &bgpFamily,
}

// Diff returns what turns have into want, in the order in which it must happen: see there.
func Diff(want, have *spec.Host) []family.Op { return family.Diff(families, want, have) }

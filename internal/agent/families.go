//go:build linux

package agent

import (
	"github.com/flocknet/flock/internal/agent/adopt"
	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/dockernet"
	"github.com/flocknet/flock/internal/agent/dropin"
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/filter"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/settings"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// families are all sorts of objects, in the order in which they come.
var families = []*family.Family{
	&dropin.UnmanagedFamily, &dropin.FirewalldFamily, &dropin.UFWFamily, &link.Family, &settings.Family, &link.AddrFamily, &link.NeighFamily, &link.FDBFamily, &link.PeerFamily, &link.MemberFamily,
	&filter.Family, &link.RouteFamily, &attach.Family, &dockernet.Family, &adopt.Family, &dhcpFamily, &dropin.EnvFamily, &bgpctl.Family,
}

// daemonsOf are the daemons that h asks for.
func daemonsOf(s *host.Files, h *spec.Host) (out []unit.Daemon) {
	for _, f := range families {
		if f.Daemons != nil {
			out = append(out, f.Daemons(s, h)...)
		}
	}
	return out
}

// Diff returns what turns have into want, in the order in which it must happen: see there.
func Diff(want, have *spec.Host) []family.Op { return family.Diff(families, want, have) }

package cli

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Bridges of other programs are named with their subnets, and with who has the same ones; what a
// server calls so without being one is not.
func TestSubnetsBesideAreSaid(t *testing.T) {
	docker, lxc := netip.MustParsePrefix("172.17.0.1/16"), netip.MustParsePrefix("10.0.3.1/24")
	out := &change.Outcome{
		Cluster: &state.Cluster{Servers: map[string]*state.Server{
			"s1": {Subnet: netip.MustParsePrefix("10.1.1.1/24"), Facts: &state.Facts{Local: []netip.Prefix{docker.Masked(), lxc.Masked()}}},
			"s2": {Facts: &state.Facts{Local: []netip.Prefix{lxc.Masked()}}},
			"s3": {},
		}},
		Servers: []change.Server{
			{Name: "s2", Plan: &spec.Plan{Own: []spec.Addr{{Link: "virbr0", Prefix: docker}}}},
			{Name: "s1", Plan: &spec.Plan{Own: []spec.Addr{{Link: "docker0", Prefix: docker}, {Link: "lxcbr0", Prefix: lxc}, {Link: "evil", Prefix: lxc}, {Link: "virbr0"}}}},
		},
	}
	o := &setSubnetOptions{server: "s1", subnet: netip.MustParsePrefix("10.1.1.0/24")}
	if have, want := o.said(out), "s1: container subnet 10.1.1.1/24; apart from it are docker0 172.17.0.0/16, lxcbr0 10.0.3.0/24 (as on s2)"; have != want {
		t.Errorf("have %q, want %q", have, want)
	}
	out.Servers = nil
	if have, want := o.said(out), "s1: container subnet 10.1.1.1/24"; have != want {
		t.Errorf("have %q, want %q", have, want)
	}
}

//go:build linux

package agent

import (
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// A bridge that goes says who is plugged into it; our own ports are none of these.
func TestABridgeThatGoesNamesItsPorts(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	want := &spec.Host{Cluster: "t", Links: segment().Links}
	apply(t, k, want)
	nothing := &spec.Host{Cluster: "t"}
	if have, want := plan(t, k, nothing), outdent(`
		- link vxl0-vx
		- link vxl0`); have != want {
		t.Errorf("want\n%shave\n%s", want, have)
	}
	sh(t, "ip tuntap add tap1 mode tap; ip link set tap1 master vxl0; ip link add c1 type veth peer name c1-in; ip link set c1 master vxl0")
	converge(t, k, nothing, `
		- link vxl0-vx
		- link vxl0: without it are its ports c1, tap1`)
}

//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/link"
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

// TestPortsThatLostTheirBridgeAreFound: whoever took them out, and whatever else is on
// the server beside them.
func TestPortsThatLostTheirBridgeAreFound(t *testing.T) {
	ownNet(t)
	inside := newNFTHost(t)
	k := open(t, "t", t.TempDir())
	want := &spec.Host{Cluster: "t", Links: segment().Links}
	apply(t, k, want)
	for _, name := range []string{"c1", "c2", "c3", "c4", "c5"} {
		sh(t, "ip link add "+name+" type veth peer name "+name+"-in netns "+inside.Path()+"; ip link set "+name+" up master vxl0")
		inside.sh("ip link set " + name + "-in up")
	}
	// Others that are no ports: a pair inside, an address, a route, another bridge, down.
	sh(t, `ip link add a1 type veth peer name a2; ip link set a1 up; ip link set a2 up
		ip link set c2 nomaster; ip addr add 192.0.2.1/32 dev c2
		ip link set c3 nomaster; ip route add 192.0.2.3/32 dev c3
		ip link add br9 type bridge; ip link set br9 up; ip link set c4 master br9
		ip link set c5 nomaster down`)
	look := func() string {
		t.Helper()
		converge(t, k, want, "")
		ports, bridges := link.Loose(k.Host, want)
		return strings.Join(ports, " ") + " of " + strings.Join(bridges, " ")
	}
	if have := look(); have != " of " {
		t.Errorf("nothing is loose, have %s", have)
	}
	sh(t, "ip link set c1 nomaster")
	if have := look(); have != "c1 of vxl0" {
		t.Errorf("want c1 of vxl0, have %s", have)
	}
	if ports, _ := link.Loose(k.Host, &spec.Host{Cluster: "t"}); ports != nil {
		t.Errorf("without a bridge: %v", ports)
	}
	// The bridge goes and comes again: the port is found, once more.
	sh(t, "ip link set c1 master vxl0")
	apply(t, k, &spec.Host{Cluster: "t"})
	apply(t, k, want)
	if have := look(); have != "c1 of vxl0" {
		t.Errorf("after the bridge came again: want c1 of vxl0, have %s", have)
	}
}

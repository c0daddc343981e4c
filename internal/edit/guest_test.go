package edit

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// TestGuestsInterfaceIsKnownByItsMAC: setnet takes the MAC of one that the guest has, and keeps
// it; what the guest has not is made.
func TestGuestsInterfaceIsKnownByItsMAC(t *testing.T) {
	c := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.0.4.0/24"), "bridge": "vxl0"})
	found := []spec.Container{{Name: "libvirt/web", Interfaces: []spec.ContainerInterface{
		{Name: "eth0", MAC: "52:54:00:00:00:01"}, {Name: "eth1", MAC: "52:54:00:00:00:02", Owner: "other"},
	}}}
	plug := func(iface, mac string, moved bool) {
		t.Helper()
		o := Plug{Server: "s1", Container: "web", Interface: iface, Bridge: "vxl0", Replace: true}
		if err := o.Found(c.Servers["s1"], found); err != nil {
			t.Fatal(err)
		}
		if err := done(c, Attach(c, "s1", o.Record(), true)); err != nil {
			t.Fatal(err)
		}
		want := state.Attachment{Container: "libvirt/web", Interface: iface, Bridge: "vxl0", Moved: moved, MAC: mac}
		if have := c.Servers["s1"].Attached[segment.AttachedAt(c.Servers["s1"], "libvirt/web", iface)]; !reflect.DeepEqual(have, want) {
			t.Errorf("want %+v, have %+v", want, have)
		}
	}
	plug("eth0", "52:54:00:00:00:01", true)
	found[0].Interfaces[0] = spec.ContainerInterface{Name: "eth0", MAC: "52:54:00:00:00:01", Owner: c.Name}
	plug("eth0", "52:54:00:00:00:01", true)
	plug("eth7", "", false)
	o := Plug{Server: "s1", Container: "web", Interface: "eth1", Bridge: "vxl0", Replace: true}
	if err := o.Found(c.Servers["s1"], found); err == nil || !strings.Contains(err.Error(), "is of cluster other") {
		t.Errorf("one of another cluster: %v", err)
	}
	out, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range out.Hosts["s1"].Attached {
		if own := a.Interface == "eth0"; own != (a.MAC == "52:54:00:00:00:01") || a.Moved != own || len(a.Gateways) > 0 {
			t.Errorf("compiled: %s", a)
		}
	}
}

// TestGuestIsRefused: what libvirt or DHCP could not give it.
func TestGuestIsRefused(t *testing.T) {
	addrs := func(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }
	web := state.Attachment{Container: "libvirt/web", Interface: "eth1", Bridge: "vxl0"}
	with := func(change func(a *state.Attachment)) state.Attachment {
		a := web
		change(&a)
		return a
	}
	for _, c := range []struct {
		dhcp       string
		a          state.Attachment
		what, next string
	}{
		{state.DHCPSingle, web, "", ""},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Addrs = addrs("10.0.4.200") }), "", ""},
		{state.DHCPDistributed, with(func(a *state.Attachment) { a.Addrs = addrs("10.0.4.9") }), "", ""},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Addrs = addrs("fd04::100") }), "guests choose their addresses in fd04::/64", "inside of the guest"},
		{state.DHCPOff, with(func(a *state.Attachment) { a.Addrs = addrs("10.0.4.200") }), "network n1 has no DHCP", "setnetwork n1 --dhcp distributed"},
		{state.DHCPOff, web, "", ""},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Bridge = "" }), "always on a bridge", "IFACE:BRIDGE"},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Moved = true }), "known by its MAC", "virsh domiflist"},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.MAC = "52:54:00:00:00:01" }), "known by its MAC", "virsh domiflist"},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Moved, a.MAC = true, "52:54:00:00:00:0G" }), "is not a MAC address", "52:54:00:0a:0b:0c"},
		{state.DHCPSingle, with(func(a *state.Attachment) { a.Container, a.MAC = "lxc/web", "52:54:00:00:00:01" }), "only an interface of a guest", "leave mac away"},
	} {
		cluster := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.0.4.0/24", "fd04::/64"), "bridge": "vxl0", "dhcp": c.dhcp})
		cluster.Servers["s1"].Attached = []state.Attachment{c.a}
		err := network.Complete(cluster)
		_, next := hint.Of(err)
		if c.what == "" && err != nil || c.what != "" && (err == nil || !strings.Contains(err.Error(), c.what) || !strings.Contains(next, c.next)) {
			t.Errorf("%+v, DHCP %s: want %q, have %v, next %q", c.a, c.dhcp, c.what, err, next)
		}
	}
	c := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.0.4.0/24"), "bridge": "vxl0"})
	twice := with(func(a *state.Attachment) { a.Moved, a.MAC = true, "52:54:00:00:00:01" })
	other := twice
	other.Interface = "eth2"
	c.Servers["s1"].Attached = []state.Attachment{twice, other}
	if err := network.Complete(c); err == nil || !strings.Contains(err.Error(), "two interfaces with the MAC") {
		t.Errorf("one MAC twice: %v", err)
	}
}

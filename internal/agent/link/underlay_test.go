//go:build linux

package link

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// Early makes a bridge and its addresses whatever the underlay does, and a tunnel with what
// stands on it when the underlay is there; nothing of it is for the whole server.
func TestEarlyIsWhatTheUnderlayAllows(t *testing.T) {
	local, inner := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.8.1")
	want := &spec.Host{
		Cluster: "test", BGP: &spec.BGP{Network: "b", AS: 64512},
		Links: []spec.Link{
			{Name: "br9", Kind: spec.Bridge},
			{Name: "tun9", Kind: spec.VXLAN, Tunnel: &spec.Tunnel{Local: local}},
			{Name: "wg9", Kind: spec.WireGuard},
			{Name: "in9", Kind: spec.VXLAN, Tunnel: &spec.Tunnel{Local: inner}},
			{Name: "dev9", Kind: spec.VXLAN, Tunnel: &spec.Tunnel{Dev: "absent9"}},
		},
		Addrs:   []spec.Addr{{Link: "br9"}, {Link: "tun9"}, {Link: "wg9", Prefix: netip.PrefixFrom(inner, 24)}},
		Floods:  []spec.Flood{{Link: "tun9"}, {Link: "dev9"}},
		FDB:     []spec.FDB{{Link: "tun9"}},
		Neighs:  []spec.Neigh{{Link: "br9"}, {Link: "tun9"}},
		Sysctls: []spec.Sysctl{{Key: "net/ipv4/ip_forward"}, {Key: "a", Link: "br9"}, {Key: "b", Link: "tun9"}},
		Routes:  []spec.Route{{Dev: "tun9"}, {Dev: "eth0"}, {Unreachable: true}, {Dev: "wg9"}},
		DHCPs:   []spec.DHCP{{Network: "n"}}, Envs: []spec.SubnetEnv{{Network: "n"}},
	}
	for name, c := range map[string]struct {
		there               map[netip.Addr]bool
		processes           bool
		links               []string
		addrs, more, routes int // more: floods, entries, neighbours, settings
	}{
		"no underlay":   {nil, false, []string{"br9", "in9"}, 1, 2, 0},
		"processes":     {nil, true, []string{"br9", "wg9", "in9"}, 2, 2, 1},
		"the underlay":  {map[netip.Addr]bool{local: true}, false, []string{"br9", "tun9", "in9"}, 2, 6, 1},
		"all there can": {map[netip.Addr]bool{local: true}, true, []string{"br9", "tun9", "wg9", "in9"}, 3, 6, 2},
	} {
		h := Early(want, c.there, c.processes)
		var links []string
		for _, l := range h.Links {
			links = append(links, l.Name)
		}
		more := len(h.Floods) + len(h.FDB) + len(h.Neighs) + len(h.Sysctls)
		if !slices.Equal(links, c.links) || len(h.Addrs) != c.addrs || more != c.more || len(h.Routes) != c.routes || len(h.Envs) != 1 {
			t.Errorf("%s: %q, %v", name, links, h)
		}
		if len(h.DHCPs) > 0 || h.BGP == nil || h.BGP.Network != "b" || h.BGP.AS != 0 || h.Cluster != "test" {
			t.Errorf("%s: daemons: %v", name, h)
		}
	}
	if len(want.Links) != 5 || len(want.Routes) != 4 {
		t.Error("the argument was changed")
	}
}

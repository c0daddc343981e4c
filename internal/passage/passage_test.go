package passage

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

func TestStagesKeepOldAndNew(t *testing.T) {
	was := &spec.Host{
		Links:  []spec.Link{{Name: "br", MTU: 1450}, {Name: "old"}},
		Routes: []spec.Route{{Dst: netip.MustParsePrefix("10.1.0.0/24"), Dev: "old"}, {Dst: netip.MustParsePrefix("10.2.0.0/24"), Dev: "old"}},
		Neighs: []spec.Neigh{{Link: "old", IP: netip.MustParsePrefix("10.1.0.0/24").Addr(), MAC: "a"}},
	}
	now := &spec.Host{
		Links:  []spec.Link{{Name: "br", MTU: 1500}, {Name: "new"}},
		Routes: []spec.Route{{Dst: netip.MustParsePrefix("10.1.0.0/24"), Dev: "new"}, {Dst: netip.MustParsePrefix("10.3.0.0/24"), Dev: "new"}},
	}
	both := stages(was, now)
	for i, want := range []string{
		"10.1.0.0/24 old, 10.2.0.0/24 old, 10.3.0.0/24 new",
		"10.1.0.0/24 new, 10.3.0.0/24 new, 10.2.0.0/24 old",
	} {
		var have []string
		for _, r := range both[i].Routes {
			have = append(have, r.Dst.String()+" "+r.Dev)
		}
		if strings.Join(have, ", ") != want {
			t.Errorf("stage %d: want %s, have %s", i, want, have)
		}
		if h := both[i]; len(h.Links) != 3 || h.Links[0].MTU != 1450 || len(h.Neighs) != 1 {
			t.Errorf("stage %d: %+v", i, h)
		}
	}
	if now.Links[0].MTU != 1500 {
		t.Error("the last stage was changed on the way")
	}
}

// What is taken back on the way is not told.
func TestLastingSteps(t *testing.T) {
	tunnel := spec.Link{Name: "vxl0-vx", Kind: spec.VXLAN}
	gateway := spec.Gateway{Bridge: "vxl0", Uplink: "vxl0-vx"}
	other := spec.Link{Name: "vxl1-vx", Kind: spec.VXLAN}
	third := spec.Link{Name: "vxl2-vx", Kind: spec.VXLAN, MTU: 1400}
	was := &spec.Host{Links: []spec.Link{tunnel, other, third}, Gateways: []spec.Gateway{gateway}, Guards: []spec.Guard{{Bridge: "vxl0"}}}
	third.MTU = 1450
	now := &spec.Host{Links: []spec.Link{tunnel, other, third}, Gateways: []spec.Gateway{gateway}, Guards: []spec.Guard{{Bridge: "vxl0", Closed: []uint16{1}}}}
	var have []string
	for _, s := range Lasting(was, now, []spec.Step{
		{Action: spec.Add, Object: "link vxl0-vw"},
		{Action: spec.Change, Object: "gateway vxl0"},
		{Action: spec.Change, Object: "link vxl0-vx"},
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "isolated none -> on"},
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "mtu 1400 -> 1450"}, // somebody had changed it
		{Action: spec.Change, Object: "ports vxl0"},
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "isolated on -> none"},
		{Action: spec.Change, Object: "link vxl2-vx", Detail: "isolated none -> on"}, // its MTU becomes another
		{Action: spec.Change, Object: "link vxl2-vx", Detail: "mtu 1400 -> 1450, isolated on -> none"},
		{Action: spec.Remove, Object: "link vxl0-vw"},
		{Action: spec.Add, Object: "sysctl net/ipv6/conf/vxl0-vw/disable_ipv6"},
	}) {
		have = append(have, s.Object)
		if strings.Contains(s.Detail, "isolated") {
			t.Errorf("have %v", s)
		}
	}
	if got := strings.Join(have, ", "); got != "link vxl0-vx, link vxl1-vx, ports vxl0, link vxl2-vx" {
		t.Errorf("have %s", got)
	}
}

// What takes the port, VNI or ends of a device that goes cannot be there beside it.
func TestClash(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	vx := func(name string, vni uint32, port uint16, gbp bool) spec.Link {
		return spec.Link{Name: name + "-vx", Network: name, Kind: spec.VXLAN, Tunnel: &spec.Tunnel{VNI: vni, Port: port, Local: at, GBP: gbp}}
	}
	gre := func(name string) spec.Link {
		return spec.Link{Name: name, Kind: spec.GRE, Tunnel: &spec.Tunnel{Local: at, Remote: at.Next()}}
	}
	wg := spec.Link{Name: "wg1", Kind: spec.WireGuard, Port: 51820}
	before := vx("vx1", 42, 4789, false)
	before.Tunnel.Local = at.Next()
	for what, test := range map[string]struct {
		was, now []spec.Link
		want     bool
	}{
		"VNI of one that goes":   {[]spec.Link{vx("vx2", 43, 4789, false)}, []spec.Link{vx("vx3", 43, 4789, false)}, true},
		"ends of one that goes":  {[]spec.Link{gre("gre1")}, []spec.Link{gre("gre2")}, true},
		"port of one that goes":  {[]spec.Link{wg}, []spec.Link{vx("vx3", 43, 51820, false)}, true},
		"policy, swapped ports":  {[]spec.Link{vx("vx2", 43, 1, false), vx("vx3", 44, 2, true)}, []spec.Link{vx("vx2", 43, 2, false), vx("vx3", 44, 1, true)}, true},
		"one that goes":          {[]spec.Link{vx("vx2", 43, 4789, false)}, nil, false},
		"one that goes, another": {[]spec.Link{vx("vx2", 43, 4789, false), wg}, []spec.Link{vx("vx3", 44, 4789, false), gre("gre1")}, false},
		"those that stay":        {[]spec.Link{wg, gre("gre1")}, []spec.Link{wg, gre("gre1")}, false},
	} {
		was := map[string]*spec.Host{"s1": {Links: append([]spec.Link{before}, test.was...)}}
		now := map[string]*spec.Host{"s1": {Links: append([]spec.Link{vx("vx1", 42, 4789, false)}, test.now...)}}
		if got := Clash(was, now, map[string]uint32{"vx1": 900, "vx2": 901, "vx3": 902}); got != test.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

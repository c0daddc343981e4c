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
	was := &spec.Host{Links: []spec.Link{tunnel, other}, Gateways: []spec.Gateway{gateway}, Guards: []spec.Guard{{Bridge: "vxl0"}}}
	narrow := tunnel
	narrow.MTU = 1350
	now := &spec.Host{Links: []spec.Link{narrow, other}, Gateways: []spec.Gateway{gateway}, Guards: []spec.Guard{{Bridge: "vxl0", Closed: []uint16{1}}}}
	var have []string
	for _, s := range Lasting(was, now, []spec.Step{
		{Action: spec.Add, Object: "link vxl0-vw"},
		{Action: spec.Change, Object: "gateway vxl0"},
		{Action: spec.Change, Object: "link vxl0-vx", Detail: "mtu 1450 -> 1350, turn none -> beside"},
		{Action: spec.Change, Object: "link vxl0-vx", Detail: "turn beside -> quiet"}, // though the link is another afterwards
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "turn none -> beside"},
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "mtu 1400 -> 1450"}, // somebody had changed it
		{Action: spec.Change, Object: "ports vxl0"},
		{Action: spec.Change, Object: "link vxl1-vx", Detail: "turn beside -> none"},
		{Action: spec.Remove, Object: "link vxl0-vw"},
		{Action: spec.Add, Object: "sysctl net/ipv6/conf/vxl0-vw/disable_ipv6"},
	}) {
		have = append(have, strings.TrimSpace(s.Object+" "+s.Detail))
	}
	if got := strings.Join(have, ", "); got != "link vxl0-vx mtu 1450 -> 1350, link vxl1-vx mtu 1400 -> 1450, ports vxl0" {
		t.Errorf("have %s", got)
	}
}

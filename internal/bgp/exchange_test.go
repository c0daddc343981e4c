//go:build linux

package bgp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// exchange is what d says about the routes of one neighbour.
func (d *daemonProcess) exchange(a netip.Addr) (spec.BGPExchange, error) {
	answer, err := d.request(spec.BGPRequest{Op: spec.BGPRoutes, Status: true, Peers: []netip.Addr{a}})
	if err != nil {
		return spec.BGPExchange{}, err
	}
	if len(answer.Status.Exchanges) != 1 {
		return spec.BGPExchange{}, fmt.Errorf("%d answers", len(answer.Status.Exchanges))
	}
	return answer.Status.Exchanges[0], nil
}

// awaitReceived waits until d says of what a announces what want says: the beginning of
// the reason why it is refused or unused, "" if it is used.
func (d *daemonProcess) awaitReceived(a netip.Addr, want map[string]string) spec.BGPExchange {
	d.g.t.Helper()
	var e spec.BGPExchange
	d.g.eventually(20*time.Second, func() (err error) {
		if e, err = d.exchange(a); err != nil {
			return err
		}
		// FRR announces what it heard of us to us again.
		heard := slices.DeleteFunc(slices.Clone(e.Received), func(r spec.BGPTold) bool {
			return want[r.Prefix.String()] == "" && strings.HasPrefix(r.Refused, "loop:")
		})
		if len(heard) != len(want) {
			return fmt.Errorf("want %d routes, have %+v", len(want), heard)
		}
		for _, r := range heard {
			why, ok := want[r.Prefix.String()]
			have := r.Refused
			if have == "" {
				have = r.Why
			}
			if !ok || !strings.HasPrefix(have, why) || (why == "") != r.Used {
				return fmt.Errorf("want %s for %q, have %+v", r.Prefix, why, r)
			}
		}
		return nil
	})
	return e
}

// reasoned is a router that announces a route for every reason to refuse one.
func (g *segment) reasoned() {
	g.birdRouter("tor", fmt.Sprintf(`
protocol static { ipv4; route 172.16.1.0/24 blackhole; route 172.16.2.0/24 blackhole; route 172.16.3.0/24 blackhole; route 0.0.0.0/0 blackhole;
	route 10.0.10.128/25 blackhole; route 10.0.0.0/16 blackhole; route 10.0.11.128/25 blackhole; route 10.99.0.0/25 blackhole; route 169.254.7.0/24 blackhole; }
protocol bgp s1 { local %[1]s as 65001; neighbor %[2]s as 64512; hold time 9; connect delay time 1; error wait time 1, 2;
	ipv4 { import none; export filter {
		if source != RTS_STATIC then reject;
		if net = 172.16.1.0/24 then { bgp_med = 7; bgp_community.add((65001,70)); }
		if net = 172.16.2.0/24 then bgp_path.prepend(64512);
		if net = 172.16.3.0/24 then bgp_next_hop = 10.99.0.77;
		accept; }; }; }
`, g.v4("tor"), g.v4("s1")))
}

func TestWhatNeighborsTellAndAreTold(t *testing.T) {
	g := newSegment(t, "s1", "s2", "tor")
	g.reasoned()
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	with := func(rules ...spec.PrefixRule) *spec.BGP {
		s := external(g.mesh("s1", shares), spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, Import: rules})
		s.Own = append(s.Own, prefix("10.99.0.0/24"))
		return s
	}
	d := g.daemon("s1", with())
	g.daemon("s2", g.mesh("s2", shares))
	d.awaitUp()
	want := map[string]string{
		"172.16.1.0/24": "", "172.16.2.0/24": "loop: AS 64512", "172.16.3.0/24": "next hop 10.99.0.77 does not answer",
		"0.0.0.0/0": "accept list: a default route", "169.254.7.0/24": "reserved: nobody has a reason",
		"10.0.10.128/25": "overlap: with 10.0.10.0/24, which this server shares", "10.0.0.0/16": "overlap: with 10.0.10.0/24, which this server shares",
		"10.0.11.128/25": "overlap: with 10.0.11.0/24, which s2 shares", "10.99.0.0/25": "own segment: this server is itself on 10.99.0.0/24",
	}
	e := d.awaitReceived(g.v4("tor"), want)
	for _, r := range e.Received {
		if r.Prefix == prefix("172.16.1.0/24") && (r.MED == nil || *r.MED != 7 || !slices.Equal(r.Communities, []string{"65001:70"}) || r.ASPath != "65001" || r.NextHop != g.v4("tor")) {
			t.Errorf("it says %+v", r)
		}
	}
	var told []string
	for _, r := range e.Sent {
		told = append(told, fmt.Sprintf("%s by %s path %s", r.Prefix, r.NextHop, r.ASPath))
	}
	if want := []string{"10.0.10.0/24 by 10.99.0.1 path 64512", "10.0.11.0/24 by 10.99.0.1 path 64512"}; !slices.Equal(told, want) {
		t.Errorf("want it told %q, have %q", want, told)
	}
	// To ask changes nothing.
	d.awaitReceived(g.v4("tor"), want)
	d.reload(with(spec.PrefixRule{Prefix: prefix("172.16.2.0/23"), LE: 24}))
	want["172.16.1.0/24"], want["0.0.0.0/0"] = "accept list: no line", "accept list: no line"
	d.awaitReceived(g.v4("tor"), want)
	if _, err := d.exchange(addr("10.99.0.200")); err == nil || !strings.Contains(err.Error(), "10.99.0.200 is no neighbor") {
		t.Errorf("a stranger's routes: %v", err)
	}
}

// vtysh asks FRR.
func (r *router) vtysh(v any, command string) error {
	out, err := r.g.in(r.name, "vtysh", "--vty_socket", r.dir, "-c", command+" json").Output()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return json.Unmarshal(out, v)
}

// refreshes is how many ROUTE-REFRESH messages FRR had from a neighbour, and sessions.
func (r *router) refreshes(neighbor netip.Addr) (received, sessions int, err error) {
	var all map[string]struct {
		ConnectionsEstablished int
		MessageStats           struct{ RouteRefreshRecv int }
	}
	err = r.vtysh(&all, "show bgp neighbors "+neighbor.String())
	n := all[neighbor.String()]
	return n.MessageStats.RouteRefreshRecv, n.ConnectionsEstablished, err
}

// TestRefreshLosesNothing: a refresh asks the neighbour for all its routes, and neither
// a session nor a packet is lost; a reset ends the session, and one begins.
func TestRefreshLosesNothing(t *testing.T) {
	g := newSegment(t, "s1", "tor")
	g.sh("tor", "ip address add 172.16.1.1/32 dev lo")
	g.sh("s1", "ip address add 10.0.10.1/32 dev lo")
	tor := tops()["frr"](g, "tor", "")
	d := g.daemon("s1", external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001}))
	g.awaitKernel("s1", 20*time.Second, "10.0.11.128/25 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.2 dev eth0")
	g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
	p := g.ping("s1", "10.0.10.1", "172.16.1.1")
	before, _, err := tor.refreshes(g.v4("s1"))
	if err != nil {
		t.Fatal(err)
	}
	const times = 20
	for i := range times {
		answer, err := d.request(spec.BGPRequest{Op: spec.BGPRefresh, Status: true, Peers: []netip.Addr{g.v4("tor")}})
		if err != nil || len(answer.Status.Deaf) > 0 {
			t.Fatalf("%+v, %v", answer, err)
		}
		g.eventually(5*time.Second, func() error {
			if n, up, err := tor.refreshes(g.v4("s1")); err != nil || n != before+i+1 || up != 1 {
				return errors.Join(err, fmt.Errorf("%d refreshes in %d sessions", n, up))
			}
			return nil
		})
	}
	p.await(times)
	if lost, sent := p.lost(); lost > 0 || sent < times {
		t.Errorf("lost %d of %d", lost, sent)
	}
	if _, err := d.request(spec.BGPRequest{Op: spec.BGPReset, Peers: []netip.Addr{g.v4("tor")}}); err != nil {
		t.Fatal(err)
	}
	g.eventually(20*time.Second, func() error {
		if _, up, err := tor.refreshes(g.v4("s1")); err != nil || up != 2 {
			return errors.Join(err, fmt.Errorf("%d sessions", up))
		}
		return nil
	})
	d.awaitUp()
	text := g.sh("s1", "cat "+filepath.Join(d.dir, "log"))
	if strings.Count(text, ": down") != 1 || strings.Count(text, ": up") != 2 {
		t.Errorf("the log says\n%s", text)
	}
}

// TestRefusalsAreThoseOfTheFilters: a reason is given for what GoBGP's filters reject, and
// for nothing else.
func TestRefusalsAreThoseOfTheFilters(t *testing.T) {
	r := seed.New(t)
	random := func() netip.Prefix {
		bits := r.IntN(33)
		a := netip.AddrFrom4([4]byte{[]byte{0, 10, 127, 169, 172, 240}[r.IntN(6)], byte(r.IntN(2)) * 254, byte(r.IntN(4)), 0})
		return netip.PrefixFrom(a, bits).Masked()
	}
	some := func(most int) (out []netip.Prefix) {
		for range r.IntN(most) {
			if p := random(); p.Bits() > 0 {
				out = append(out, p)
			}
		}
		return out
	}
	refused := 0
	for range 3000 {
		s := &spec.BGP{AS: 64512, Prefixes: some(2), Own: some(3)}
		n := spec.BGPNeighbor{Addr: addr("10.99.0.3"), AS: 65001, External: r.IntN(4) > 0}
		for range r.IntN(3) {
			n.Import = append(n.Import, spec.PrefixRule{Prefix: random(), Deny: r.IntN(3) == 0, LE: []int{0, 32}[r.IntN(2)]})
		}
		s.Neighbors = []spec.BGPNeighbor{n}
		p := random()
		have := newJudge(s, n, nil).refuses(p)
		if rejects := rejectedBy(filtersOf(s), n.Addr, p); rejects != (have != "") {
			t.Fatalf("%s from %+v of %+v: the filters reject it: %v, and the reason is %q", p, n, s, rejects, have)
		}
		if have != "" {
			refused++
		}
	}
	if refused < 300 || refused > 2700 {
		t.Errorf("%d of 3000 are refused: the cases are too much alike", refused)
	}
}

// rejectedBy reads the import policy as GoBGP does: the first statement that decides.
func rejectedBy(f *api.SetPoliciesRequest, from netip.Addr, p netip.Prefix) bool {
	set := func(name string) *api.DefinedSet {
		at := slices.IndexFunc(f.DefinedSets, func(s *api.DefinedSet) bool { return s.Name == name })
		return f.DefinedSets[at]
	}
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return prefix(s).Contains(from) })
	}
	holds := func(list []*api.Prefix) bool {
		return slices.ContainsFunc(list, func(q *api.Prefix) bool {
			bits := uint32(p.Bits()) //nolint:gosec // 0…32
			return prefix(q.IpPrefix).Bits() <= p.Bits() && prefix(q.IpPrefix).Contains(p.Addr()) && q.MaskLengthMin <= bits && bits <= q.MaskLengthMax
		})
	}
	for _, s := range f.Policies[0].Statements {
		c := s.Conditions
		if !in(set(c.NeighborSet.Name).List) || c.PrefixSet != nil && !holds(set(c.PrefixSet.Name).Prefixes) {
			continue
		}
		if s.Actions.RouteAction != api.RouteAction_ROUTE_ACTION_UNSPECIFIED {
			return s.Actions.RouteAction == api.RouteAction_ROUTE_ACTION_REJECT
		}
	}
	return false
}

// TestTenThousandRoutesAreAllListed: of a neighbour with very many routes each is told, with
// what became of it.
func TestTenThousandRoutesAreAllListed(t *testing.T) {
	g := newSegment(t, "s1", "tor")
	const all = 10000
	var routes strings.Builder
	for i := range all {
		fmt.Fprintf(&routes, "route 172.%d.%d.%d/32 blackhole;\n", 16+i>>14, i>>6&255, i&63)
	}
	g.birdRouter("tor", fmt.Sprintf(`
protocol static { ipv4; %s }
protocol bgp s1 { local %s as 65001; neighbor %s as 64512; hold time 9; connect delay time 1; error wait time 1, 2;
	ipv4 { import none; export where source = RTS_STATIC; }; }
`, routes.String(), g.v4("tor"), g.v4("s1")))
	rule := spec.PrefixRule{Prefix: prefix("172.16.0.0/18"), LE: 32}
	d := g.daemon("s1", external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, Import: []spec.PrefixRule{rule}}))
	d.awaitUp()
	g.eventually(30*time.Second, func() error {
		e, err := d.exchange(g.v4("tor"))
		used, refused := 0, 0
		for i, r := range e.Received {
			if i > 0 && r.Prefix.Compare(e.Received[i-1].Prefix) <= 0 {
				return fmt.Errorf("%s after %s", r.Prefix, e.Received[i-1].Prefix)
			}
			switch {
			case r.Refused != "" && !rule.Matches(r.Prefix):
				refused++
			case r.Used && rule.Matches(r.Prefix):
				used++
			}
		}
		if err != nil || len(e.Received) != all || used != 64*64 || used+refused != all || len(e.Sent) != 1 {
			return errors.Join(err, fmt.Errorf("%d received, %d used, %d refused, %d sent", len(e.Received), used, refused, len(e.Sent)))
		}
		return nil
	})
}

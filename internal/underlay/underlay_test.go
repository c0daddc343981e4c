package underlay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// world is a probing: which packets arrive, and how.
type world struct {
	servers []Server
	hops    int
	mtu     int // bytes that pass
	arrives func(from, to string, s Service) Outcome
	seen    map[string]netip.Addr // sources as others see them, by sender
}

func serversAt(addrs ...string) []Server {
	var out []Server
	for i, a := range addrs {
		out = append(out, Server{Name: fmt.Sprintf("s%d", i+1), Addr: netip.MustParseAddr(a), Device: "eth0", MTU: 1500, Own: []netip.Addr{netip.MustParseAddr(a)}})
	}
	return out
}

// paths lets the packets of all services go their way.
func (w world) paths(t *testing.T) []Path {
	t.Helper()
	services := Services(Ports())
	by, send := Packets(w.servers, services)
	h := Heard{Came: map[string][]spec.UnderlayArrival{}, Refused: map[uint32]bool{}}
	echoed, sent := map[[2]string]spec.Echoed{}, 0
	for _, from := range w.servers {
		sent += len(send[from.Name])
		for _, p := range send[from.Name] {
			probed := by[p.Number]
			if probed.From != from.Name || probed.Protocol != p.Protocol || probed.Port != p.Port {
				t.Fatalf("packet %d of %s is %+v", p.Number, from.Name, probed)
			}
			for _, to := range w.servers {
				if to.Name == from.Name || probed.To != "" && probed.To != to.Name {
					continue
				}
				source := from.Addr
				if a, other := w.seen[from.Name]; other {
					source = a
				}
				a := spec.UnderlayArrival{Number: p.Number, Source: source, TTL: spec.UnderlayTTL - w.hops}
				switch w.arrives(from.Name, to.Name, probed.Service) {
				case Passes:
					a.Delivered = true
					h.Came[to.Name] = append(h.Came[to.Name], a)
				case Filtered:
					h.Came[to.Name] = append(h.Came[to.Name], a)
				case Refused:
					h.Refused[p.Number] = true
				}
			}
		}
		echoes, to := Echoes(w.servers, from)
		for i, e := range echoes {
			echoed[[2]string{from.Name, to[i]}] = spec.Echoed{Echo: e, Sent: 5, Heard: 5, Passes: w.mtu}
		}
	}
	if sent != len(by) {
		t.Fatalf("%d of %d packets are sent", sent, len(by))
	}
	return Paths(w.servers, services, by, h, echoed, nil)
}

func all(string, string, Service) Outcome { return Passes }

// but lets all pass but some services.
func but(o Outcome, services ...Service) func(string, string, Service) Outcome {
	return func(_, _ string, s Service) Outcome {
		if slices.Contains(services, s) {
			return o
		}
		return Passes
	}
}

func udp(port int) Service { return Service{Protocol: UDP, Port: port} }

func TestRecommend(t *testing.T) {
	private := serversAt("10.0.0.1", "10.0.0.2", "10.0.0.3")
	for name, c := range map[string]struct {
		world
		want []string // first commands, less flock createnetwork NAME
	}{
		"one segment":            {world{private, 0, 1500, all, nil}, []string{"vxlan", "host-gw"}},
		"no VXLAN port":          {world{private, 0, 1500, but(Filtered, udp(4789)), nil}, []string{"vxlan -p 8472", "host-gw"}},
		"routed":                 {world{private, 1, 1500, all, nil}, []string{"vxlan", "vxlan-l3"}},
		"routed, narrow":         {world{private, 1, 1400, all, nil}, []string{"vxlan --mtu 1350", "vxlan-l3 --mtu 1350"}},
		"routed, no VXLAN":       {world{private, 2, 1500, but(Lost, udp(4789), udp(8472)), nil}, []string{"ipip"}},
		"routed, UDP 8285 alone": {world{private, 2, 1500, but(Lost, udp(4789), udp(8472), Service{Protocol: IPIP}), nil}, []string{"udp"}},
		"routed, 51820 alone": {
			world{private, 2, 1500, but(Lost, udp(4789), udp(8472), udp(8285), Service{Protocol: IPIP}), nil},
			[]string{"wireguard", "l2"},
		},
		"on the Internet":      {world{serversAt("192.0.2.1", "198.51.100.1"), 9, 1500, all, nil}, []string{"wireguard", "l2"}},
		"within a provider":    {world{serversAt("100.64.0.1", "100.127.0.2"), 0, 1500, all, nil}, []string{"vxlan", "host-gw"}},
		"IPv6, local":          {world{serversAt("fd00::1", "fd00::2"), 1, 1400, all, nil}, []string{"vxlan --mtu 1330", "vxlan-l3 --mtu 1330"}},
		"IPv6 on the Internet": {world{serversAt("2001:db8::1", "2001:db8::2"), 5, 1400, all, nil}, []string{"wireguard --mtu 1320", "l2 --mtu 1250"}},
		"NAT":                  {world{private, 1, 1500, all, map[string]netip.Addr{"s2": netip.MustParseAddr("10.0.0.9")}}, []string{"wireguard", "l2"}},
		"a hub": {
			world{serversAt("192.0.2.1", "192.0.2.2", "192.0.2.3"), 1, 1500, func(from, to string, _ Service) Outcome {
				if to == "s2" && from != "s1" || to == "s3" && from != "s1" {
					return Lost
				}
				return Passes
			}, nil},
			[]string{"wireguard --topology hub", "l2 --topology hub"},
		},
		"two families":   {world{serversAt("10.0.0.1", "10.0.0.2", "fd00::3"), 0, 1500, all, nil}, nil},
		"nothing passes": {world{private, 0, 1500, func(string, string, Service) Outcome { return Lost }, nil}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var have []string
			for _, a := range Recommend(c.servers, c.paths(t)) {
				at := slices.IndexFunc(a.Commands, func(s string) bool { return strings.HasPrefix(s, "flock createnetwork NAME ") })
				have = append(have, strings.TrimPrefix(a.Commands[at], "flock createnetwork NAME "))
				if a.Why == "" || a.For == "" {
					t.Errorf("%s is recommended without a reason", a.Kind)
				}
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("have %q, want %q", have, c.want)
			}
		})
	}
}

// TestNested: plain routes do not lead through a tunnel, whatever the TTL says.
func TestNested(t *testing.T) {
	w := world{serversAt("10.0.0.1", "10.0.0.2"), 0, 1500, all, nil}
	paths := w.paths(t)
	for i := range paths {
		paths[i].Route = spec.UnderlayRoute{Device: "tailscale0", Kind: "tuntap"}
	}
	for _, a := range Recommend(w.servers, paths) {
		if a.Kind == "host-gw" {
			t.Error("host-gw is recommended through a tunnel")
		}
	}
	if all := fmt.Sprint(Findings(w.servers, Services(Ports()), paths)); !strings.Contains(all, "s1 reaches s2 by tailscale0, a tunnel (tuntap)") {
		t.Error(all)
	}
}

// TestBehindNAT: whom nobody reaches begins its sessions itself.
func TestBehindNAT(t *testing.T) {
	w := world{serversAt("192.0.2.1", "10.0.0.2", "192.0.2.3"), 3, 1500, func(_, to string, _ Service) Outcome {
		if to == "s2" {
			return Lost
		}
		return Passes
	}, map[string]netip.Addr{"s2": netip.MustParseAddr("203.0.113.7")}}
	paths := w.paths(t)
	for _, a := range Recommend(w.servers, paths) {
		if a.Commands[0] != "flock setserver s2 --nat" || strings.Contains(a.Commands[1], "hub") {
			t.Errorf("%q", a.Commands)
		}
	}
	if all := fmt.Sprint(Findings(w.servers, Services(Ports()), paths)); !strings.Contains(all, "s2 is behind NAT: its packets come to s1 from 203.0.113.7, not from 10.0.0.2") {
		t.Error(all)
	}
}

// TestFindings: who stops what, for which others, by direction.
func TestFindings(t *testing.T) {
	for want, arrives := range map[string]func(from, to string, s Service) Outcome{
		"udp 4789 from s1, s2 arrives at s3, and a packet filter there drops it": func(_, to string, s Service) Outcome {
			if to == "s3" && s == udp(4789) {
				return Filtered
			}
			return Passes
		},
		"protocol 47 (GRE) to s2, s3 does not leave s1: a packet filter there refuses it": func(from, _ string, s Service) Outcome {
			if from == "s1" && s.Protocol == GRE {
				return Refused
			}
			return Passes
		},
		"udp 8472 from s2 does not arrive at s1: something between them drops it": func(from, to string, s Service) Outcome {
			if from == "s2" && to == "s1" && s == udp(8472) {
				return Lost
			}
			return Passes
		},
	} {
		w := world{serversAt("10.0.0.1", "10.0.0.2", "10.0.0.3"), 0, 1500, arrives, nil}
		list := Findings(w.servers, Services(Ports()), w.paths(t))
		if len(list) != 1 || list[0].What != want {
			t.Errorf("have %+v, want %q", list, want)
		}
	}
	w := world{serversAt("10.0.0.1", "10.0.0.2"), 0, 1500, all, nil}
	if list := Findings(w.servers, Services(Ports()), w.paths(t)); len(list) > 0 {
		t.Errorf("nothing is in the way: %+v", list)
	}
}

// TestClocks: a clock that is wrong by more than two seconds is named, with the direction.
func TestClocks(t *testing.T) {
	w := world{serversAt("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"), 0, 1500, all, nil}
	for i, skew := range []time.Duration{2 * time.Second, -2 * time.Second, 90 * time.Second, -time.Hour - 400*time.Millisecond} {
		w.servers[i].Skew = int64(skew)
	}
	want := []Finding{{"the clock of s3 is 1m30s ahead of this workstation's", "flock doctor s3"}, {"the clock of s4 is 1h0m0s behind this workstation's", "flock doctor s4"}}
	if list := Findings(w.servers, Services(Ports()), w.paths(t)); !slices.Equal(list, want) {
		t.Errorf("want %+v, have %+v", want, list)
	}
}

// TestTakenPortsPass: what arrives at a port that a device has is not called filtered.
func TestTakenPortsPass(t *testing.T) {
	w := world{serversAt("10.0.0.1", "10.0.0.2"), 0, 1500, but(Filtered, udp(4789)), nil}
	for i := range w.servers {
		w.servers[i].Taken = map[int]string{4789: "the kernel"}
	}
	if have := Recommend(w.servers, w.paths(t)); len(have) == 0 || have[0].Commands[0] != "flock createnetwork NAME vxlan" {
		t.Errorf("%+v", have)
	}
}

// TestMissing: what came to all that should hear it is not sent again.
func TestMissing(t *testing.T) {
	servers := serversAt("10.0.0.1", "10.0.0.2", "10.0.0.3")
	by, _ := Packets(servers, Services(Ports()))
	h := Heard{Came: map[string][]spec.UnderlayArrival{}}
	if have := Missing(by, servers, h); len(have) != len(by) {
		t.Errorf("nothing came, %d of %d are missing", len(have), len(by))
	}
	for number, p := range by {
		for _, s := range servers {
			if s.Name != p.From && (p.To == "" || p.To == s.Name) {
				h.Came[s.Name] = append(h.Came[s.Name], spec.UnderlayArrival{Number: number, Delivered: true})
			}
		}
	}
	if have := Missing(by, servers, h); len(have) > 0 {
		t.Errorf("all came, %v are missing", have)
	}
	h.Came["s3"][0].Delivered = false
	if have := Missing(by, servers, h); len(have) != 1 {
		t.Errorf("one was filtered, %v are missing", have)
	}
	servers[2].Taken = map[int]string{by[h.Came["s3"][0].Number].Port: "the kernel"}
	if have := Missing(by, servers, h); by[h.Came["s3"][0].Number].Protocol == UDP && len(have) > 0 {
		t.Errorf("it came to a port in use, %v are missing", have)
	}
}

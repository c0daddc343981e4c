package cli

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/spec"
)

// telling is speaking, with what s1 and its router tell each other: n routes, every third
// of which is refused.
func telling(b *bench, n int) {
	b.engine.speakers = speaking()
	s := b.engine.speakers[0].Status
	router := &s.Neighbors[2]
	router.State, router.Why, router.Sent = spec.BGPEstablished, "", 2
	e := spec.BGPExchange{Addr: router.Addr}
	seven := uint32(7)
	for i := range n {
		t := spec.BGPTold{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32), NextHop: router.Addr, ASPath: "65001",
			Age: time.Minute, MED: &seven, Communities: []string{"65001:1"}, Used: i%3 != 2,
		}
		if i%3 == 2 {
			t.Refused = "accept list: no line of --accept matches it"
		}
		e.Received = append(e.Received, t)
	}
	e.Sent = []spec.BGPTold{{Prefix: netip.MustParsePrefix("10.0.10.0/24"), NextHop: netip.MustParseAddr("10.99.0.1"), ASPath: "64512"}}
	s.Exchanges = []spec.BGPExchange{e}
}

// TestExchangesAreToldInFull: with none, some or very many routes the screen says how many
// there are, and which are not on it.
func TestExchangesAreToldInFull(t *testing.T) {
	for n, want := range map[int][]string{
		0: {"received: 0 routes\n\nadvertised: 1 route\n"},
		1: {"received: 1 route, 1 used by the kernel, 1 accepted, 0 refused\n"},
		3: {
			"received: 3 routes, 2 used by the kernel, 2 accepted, 1 refused (accept list 1)\n",
			"172.16.0.0/32  10.99.0.254  65001    7    -     65001:1      1m00s  used     -\n",
			"172.16.0.2/32  10.99.0.254  65001    7    -     65001:1      1m00s  refused  accept list: no line of --accept matches it\n",
			"advertised: 1 route\nADVERTISED    NEXT HOP   AS PATH  MED  PREF  COMMUNITIES\n10.0.10.0/24  10.99.0.1  64512    -    -     -\n",
		},
		10000: {"received: 10000 routes, 6667 used by the kernel, 6667 accepted, 3333 refused (accept list 3333)\n", "\nand 9900 more: -o wide lists all\n", "172.16.0.2/32"},
	} {
		b := newBench(t, bgpThree)
		telling(b, n)
		if code := b.run("showbgp", "s1", "10.99.0.254"); code != command.ExitDone {
			t.Errorf("status %d: %s", code, b.err.String())
		}
		for _, w := range want {
			if !strings.Contains(b.out.String(), w) {
				t.Errorf("%d routes: want %q in\n%.4000s", n, w, b.out.String())
			}
		}
		if rows := strings.Count(b.out.String(), "\n172.16."); rows != min(n, 100) {
			t.Errorf("%d routes: %d rows", n, rows)
		}
		b.run("showbgp", "s1", "10.99.0.254", "-o", "wide")
		if rows := strings.Count(b.out.String(), "\n172.16."); rows != n || strings.Contains(b.out.String(), "more:") {
			t.Errorf("%d routes: %d wide rows", n, rows)
		}
		b.run("showbgp", "s1", "10.99.0.254", "-o", "json")
		var doc struct {
			Server, Network string
			Sessions        []struct {
				Peer     struct{ Address, State string }
				Received []struct {
					Prefix, Refused string
					Communities     []string
					Used            bool
				}
				Advertised []struct{ Prefix string }
			}
		}
		if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil || len(doc.Sessions) != 1 || len(doc.Sessions[0].Received) != n ||
			len(doc.Sessions[0].Advertised) != 1 || doc.Sessions[0].Peer.State != spec.BGPEstablished || doc.Network != "bnet" {
			t.Errorf("%d routes: JSON %v %.500s", n, err, b.out.String())
		}
	}
	b := newBench(t, bgpThree)
	telling(b, 1)
	if code := b.run("showbgp", "s2", "s1"); code != command.ExitPartial {
		t.Errorf("no daemon: status %d", code)
	}
	if code := b.run("showbgp", "bnet"); code != command.ExitPartial || !strings.Contains(b.out.String(), "s1      bnet ") || strings.Contains(b.out.String(), "s3") {
		t.Errorf("the members: status %d\n%s", code, b.out.String())
	}
}

// TestResetSaysWhatItInterrupts: a reset asks, with the number of routes; a refresh does
// not, and nothing is ordered where nobody agreed.
func TestResetSaysWhatItInterrupts(t *testing.T) {
	for _, test := range []struct {
		args, answers, want string
		code                int
		op                  string
	}{
		{"resetbgp bnet s1 10.99.0.254", "", "no terminal", command.ExitUsage, ""},
		{"resetbgp bnet s1 10.99.0.254", "n\n", "not confirmed", command.ExitFailed, ""},
		{"resetbgp bnet s1 10.99.0.254", "y\n", "end the session of s1 with 10.99.0.254? 1 route from it and 2 routes to it are gone until the next session is up", command.ExitDone, spec.BGPReset},
		{"resetbgp bnet s1 s2 --yes", "", "s1: the session with s2 was ended and is up again: 1 route accepted from it so far, 1 route told it", command.ExitDone, spec.BGPReset},
		{"resetbgp bnet s1 10.99.0.254 --dry-run", "", "dry run: the session of s1 with 10.99.0.254 would end: 1 route from it and 2 routes to it are gone", command.ExitDone, ""},
		{"resetbgp bnet s1 10.99.0.254 --soft --dry-run", "", "nothing is interrupted", command.ExitDone, ""},
		{"resetbgp bnet s1 10.99.0.254 --soft", "", "s1: 10.99.0.254 was asked for all its routes again (2, of which 1 are accepted), and told all (2); no session ended", command.ExitDone, spec.BGPRefresh},
		{"resetbgp bnet s2 s1 --yes", "", "no BGP daemon answers on s2", command.ExitPartial, ""},
		{"resetbgp bnet s2 s1 --soft", "", "no BGP daemon answers on s2", command.ExitPartial, ""},
	} {
		b := newBench(t, bgpThree)
		telling(b, 1)
		b.answers = test.answers
		code := b.run(strings.Fields(test.args)...)
		var ops []string
		for _, o := range b.engine.orders {
			ops = append(ops, o.Op)
		}
		want := []string{test.op}
		if test.op == "" {
			want = nil
		}
		if code != test.code || !strings.Contains(b.err.String(), test.want) || !slices.Equal(ops, want) {
			t.Errorf("flock %s: status %d, orders %v\n%s", test.args, code, ops, b.err.String())
		}
	}
	b := newBench(t, bgpThree)
	b.engine.speakers = speaking() // whose session is down
	if code := b.run("resetbgp", "bnet", "s1", "10.99.0.254", "--yes"); code == command.ExitDone || !strings.Contains(b.err.String(), "is Active, not established: Bad Peer AS") {
		t.Errorf("a session that is down: status %d\n%s", code, b.err.String())
	}
	telling(b, 1)
	b.engine.speakers[0].Status.Deaf = []netip.Addr{netip.MustParseAddr("10.99.0.254")}
	if code := b.run("resetbgp", "bnet", "s1", "10.99.0.254", "--soft"); code != command.ExitDone || !strings.Contains(b.err.String(), "10.99.0.254 knows no route refresh") {
		t.Errorf("one that knows none: status %d\n%s", code, b.err.String())
	}
}

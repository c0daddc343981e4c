package names

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// claimant is one server's claims, leases and pins without files and sockets.
type claimant struct {
	Claims
	i      int
	clock  int64             // ms by which its clock is wrong
	leases map[string]string // lines by MAC
	pins   map[string]Pin
}

func newClaimants(n int, clocks ...int64) []*claimant {
	var out []*claimant
	for i := range n {
		c := &claimant{i: i, leases: map[string]string{}, pins: map[string]Pin{}}
		c.Claims = Claims{Me: cellDHCP(i, n).Listen[0], others: map[string]*Claim{}}
		if i < len(clocks) {
			c.clock = clocks[i]
		}
		out = append(out, c)
	}
	return out
}

// cellDHCP is what server i of n hands out. The first one has the highest address.
func cellDHCP(i, n int) spec.DHCP {
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 4, byte(i)}) }
	d := spec.DHCP{Listen: []netip.Addr{at(254 - i)}, Ranges: []spec.Range{{First: at(16 * (i + 1)), Last: at(16*(i+1) + 9)}}}
	for j := range n {
		if j != i {
			d.Peers = append(d.Peers, at(254-j))
		}
	}
	return d
}

// lease is what dnsmasq does for a container with a MAC that wants a name.
func (c *claimant) lease(now int64, mac, name string) { c.leaseFor(now, mac, name, 12*60*60*1000) }

// leaseFor is that for a client which asks for a time (ms).
func (c *claimant) leaseFor(now int64, mac, name string, ms int64) {
	addr := fmt.Sprintf("10.0.4.%d", 16*(c.i+1)+int(mac[len(mac)-1]-'0'))
	c.leases[mac] = fmt.Sprintf("%d %s %s %s *\n", (now+c.clock+ms)/1000, mac, addr, name)
}

// look is a look at the leases, and what is told then.
func (c *claimant) look(now int64, n int) []*Claim {
	now += c.clock
	text := strings.Join(slices.Sorted(maps.Values(c.leases)), "")
	news, want := c.Update(cellDHCP(c.i, n), text, now, c.pins, now)
	for addr, w := range want { // a file's age is when it was written, or what it was set to
		if w.Since == 0 {
			w.Since = now
		}
		want[addr] = w
	}
	c.pins = want
	return news
}

// message is what one server tells another.
type message struct {
	from, to int
	at       int64
	text     string
}

// hear is what c does when it hears m; release is dnsmasq's doing. It returns answers, and what all
// others are told.
func (c *claimant) hear(m message, all []*claimant, now int64) (out []message, news []*Claim) {
	head, text, _ := strings.Cut(m.text, "\n")
	var answers []*Claim
	for line := range strings.Lines(text) {
		their := ReadClaim(line)
		their.CameFrom(all[m.from].Me, now+c.clock)
		answer, moved := c.Take(their, head == "asks x", now+c.clock, func() { news = append(news, c.look(now, len(all))...) })
		if answer != nil && head == "asks x" {
			answers = append(answers, answer)
		}
		if moved != nil {
			delete(c.leases, moved.MAC)
			delete(c.pins, moved.Addr)
		}
	}
	for _, text := range Texts("says x", answers, now+c.clock) {
		out = append(out, message{c.i, m.from, now, text})
	}
	return out, news
}

// haggle lets servers look every 250 ms for a while, with packets that take up to 80 ms,
// get lost, and do not get to or from those that are away.
func haggle(r *rand.Rand, all []*claimant, from, until int64, lost float64, away ...int) {
	var sent []message
	post := func(list []message) {
		for _, m := range list {
			if r.Float64() >= lost && !slices.Contains(away, m.from) && !slices.Contains(away, m.to) {
				m.at += r.Int64N(80)
				sent = append(sent, m)
			}
		}
	}
	tell := func(c *claimant, claims []*Claim, now int64) {
		for _, text := range Texts("asks x", claims, now+c.clock) {
			for to := range all {
				if to != c.i {
					post([]message{{c.i, to, now, text}})
				}
			}
		}
	}
	for now := from; now < until; now += 5 {
		due := slices.DeleteFunc(slices.Clone(sent), func(m message) bool { return m.at > now })
		sent = slices.DeleteFunc(sent, func(m message) bool { return m.at <= now })
		for _, m := range due {
			c := all[m.to]
			answers, news := c.hear(m, all, now)
			post(answers)
			tell(c, news, now)
			if c.changed {
				tell(c, c.look(now, len(all)), now)
			}
		}
		for _, c := range all {
			turn := now + int64(c.i)*65
			if turn/5%50 == 0 {
				tell(c, c.look(now, len(all)), now)
			}
			if turn/5%1000 == 0 {
				tell(c, c.Repeat(nil, len(c.own)), now)
			}
		}
	}
}

// holders are the addresses that servers' dnsmasqs have for a name.
func holders(all []*claimant, name string) []string {
	have := map[string]bool{}
	for _, c := range all {
		for addr, p := range c.pins {
			if p.Name == name {
				have[addr] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(have))
}

func macOf(n int) string { return fmt.Sprintf("02:00:00:00:00:%02x", n) }

// Whatever the order of claims, with packets that get lost and clocks that are days apart:
// one container has the name, everywhere, and if one was clearly first, that one.
func TestOneContainerHasAName(t *testing.T) {
	r := seed.New(t)
	for round := range 200 {
		n := 2 + r.IntN(4)
		all := newClaimants(n, r.Int64N(1e9), -r.Int64N(1e9), r.Int64N(1e5), 0)
		var first, second int64 = 1 << 60, 1 << 60
		winner, now := 0, int64(1_700_000_000_000)
		for i, c := range all {
			at := r.Int64N(4000)
			haggle(r, all, now, now+at, 0.3)
			now += at
			c.lease(now, macOf(i), "web")
			if now < first {
				first, winner = now, i
			} else {
				second = min(second, now)
			}
		}
		haggle(r, all, now, now+60_000, 0.3)
		now += 60_000
		haggle(r, all, now, now+20_000, 0)
		have := holders(all, "web")
		if len(have) != 1 || second-first > 1000 && !strings.HasPrefix(have[0], fmt.Sprintf("10.0.4.%d", 16*(winner+1))) {
			t.Fatalf("round %d: the name is at %v, want server %d's, which was %d ms first", round, have, winner, second-first)
		}
	}
}

// A container that moves has its name where it is, as old as it was before, though others
// want it and a server with an older claim of another container's comes back.
func TestANameMoves(t *testing.T) {
	r := seed.New(t)
	for round := range 100 {
		all := newClaimants(4, 1e7, -1e7)
		now := int64(1_700_000_000_000)
		step := func(ms int64, away ...int) {
			haggle(r, all, now, now+ms, 0.2, away...)
			now += ms
		}
		all[0].lease(now, macOf(1), "web")
		step(3000)
		all[3].lease(now, macOf(3), "web") // in the dark
		step(3000, 3)
		at := 0
		for range 3 {
			all[r.IntN(3)].lease(now, macOf(2), "web") // wants it too
			step(1000+r.Int64N(3000), 3)
			at = (at + 1 + r.IntN(2)) % 3
			all[at].lease(now, macOf(1), "web")
			step(1000+r.Int64N(9000), 3)
		}
		step(20_000)
		haggle(r, all, now, now+10_000, 0)
		now += 10_000
		want := strings.Fields(all[at].leases[macOf(1)])
		if have := holders(all, "web"); len(want) == 0 || len(have) != 1 || have[0] != want[2] {
			t.Fatalf("round %d: the name is at %v, want %v", round, have, want)
		}
		delete(all[at].leases, macOf(1))
		for addr, p := range all[at].pins {
			if p.Name == "web" {
				delete(all[at].pins, addr)
			}
		}
		step(20_000)
		haggle(r, all, now, now+10_000, 0)
		if have := holders(all, "web"); len(have) != 1 || have[0] == want[2] {
			t.Fatalf("round %d: free, and the name is at %v", round, have)
		}
	}
}

// A container that comes back has its lease, though the server hears first that it had moved.
func TestALeaseThatIsRenewedStays(t *testing.T) {
	all := newClaimants(2)
	all[1].lease(10_000, macOf(1), "web")
	haggle(seed.New(t), all, 10_000, 15_000, 0)
	all[0].lease(15_000, macOf(1), "web")
	haggle(seed.New(t), all, 15_000, 20_000, 1) // server 1 does not hear of it
	all[1].lease(20_000, macOf(1), "web")
	for range 2 { // first server 0 hears since when the name is had
		for _, text := range Texts("asks x", all[0].Repeat(nil, 9), 20_010) {
			answers, _ := all[1].hear(message{0, 1, 20_010, text}, all, 20_010)
			for _, m := range answers {
				all[0].hear(m, all, 20_010)
			}
		}
	}
	if all[1].leases[macOf(1)] == "" {
		t.Error("the lease was ended")
	}
}

// restart is what a new process knows.
func (c *claimant) restart() { c.Claims = Claims{Me: c.Me, others: map[string]*Claim{}} }

// The later lease of a container stays, however long it is and whatever the clocks say, and
// whether or not the processes began in between.
func TestTheLaterLeaseStays(t *testing.T) {
	const hour = 60 * 60 * 1000
	r := seed.New(t)
	for round := range 60 {
		all := newClaimants(3, r.Int64N(2e9), -r.Int64N(2e9))
		now := int64(1_700_000_000_000)
		step := func(ms int64, away ...int) {
			haggle(r, all, now, now+ms, 0, away...)
			now += ms
		}
		step(2000)
		all[0].lease(now, macOf(1), "web")
		step(3000)
		if round%2 == 0 {
			all[0].restart()
			step(3000)
		}
		all[1].leaseFor(now, macOf(1), "web", hour)
		step(8000, round%3) // one of them may not hear of it
		step(12_000)
		live := strings.Fields(all[1].leases[macOf(1)])
		if have := holders(all, "web"); len(live) == 0 || all[0].leases[macOf(1)] != "" || len(have) != 1 || have[0] != live[2] {
			t.Fatalf("round %d: the lease for an hour is %v, the name is at %v", round, live, have)
		}
	}
}

// Where nobody saw which of a container's leases is the later one, both stay, and one has the name.
func TestLeasesInDoubtStay(t *testing.T) {
	r := seed.New(t)
	for round := range 40 {
		all := newClaimants(3, r.Int64N(2e9), -r.Int64N(2e9))
		now := int64(1_700_000_000_000)
		step := func(ms int64, away ...int) {
			haggle(r, all, now, now+ms, 0, away...)
			now += ms
		}
		all[0].lease(now, macOf(1), "web")
		step(3000+r.Int64N(3000), 0)
		all[1].leaseFor(now, macOf(1), "web", r.Int64N(1e8)+1e6)
		step(3000, 0)
		all[0].restart()
		all[1].restart()
		step(20_000)
		have := holders(all, "web")
		if all[0].leases[macOf(1)] == "" || all[1].leases[macOf(1)] == "" || len(have) != 1 || have[0] != strings.Fields(all[0].leases[macOf(1)])[2] {
			t.Fatalf("round %d: the leases are %v and %v, the name is at %v", round, all[0].leases, all[1].leases, have)
		}
		all[1].lease(now, macOf(1), "web") // it renews the lease that it uses
		step(12_000)
		if have := holders(all, "web"); all[0].leases[macOf(1)] != "" || len(have) != 1 || have[0] != strings.Fields(all[1].leases[macOf(1)])[2] {
			t.Fatalf("round %d: renewed, and the leases are %v and %v, the name is at %v", round, all[0].leases, all[1].leases, have)
		}
	}
}

// A lease without a MAC is nobody's word.
func TestALeaseOfNoMAC(t *testing.T) {
	all := newClaimants(2)
	all[0].leases["0"] = "1700043200 00:00:00:00:00:00 10.0.4.20 web *\n"
	all[0].look(1_700_000_000_000, 2)
	if all[0].own["web"] != nil || all[0].own[anyMAC] != nil {
		t.Errorf("have %v", all[0].own)
	}
	their := Nobodys("web")
	their.server = all[1].Me
	if answer, moved := all[0].take(their, true, 1_700_000_000_000); moved != nil || answer.MAC != anyMAC {
		t.Errorf("answers %+v, ends %+v", answer, moved)
	}
}

// A client's id of one byte looks like a time, and is none: nobody gets another's name by it.
func TestAClientIDIsNoAge(t *testing.T) {
	all := newClaimants(2)
	now := int64(1_700_000_000_000)
	r := seed.New(t)
	all[0].lease(now, macOf(1), "web")
	haggle(r, all, now, now+5000, 0)
	all[1].leases[macOf(2)] = fmt.Sprintf("%d %s 10.0.4.34 web 05\n", now/1000+43200, macOf(2))
	haggle(r, all, now+5000, now+15_000, 0)
	if have := holders(all, "web"); !slices.Equal(have, []string{"10.0.4.17"}) {
		t.Errorf("the name is at %v", have)
	}
}

// While dnsmasq writes its leases anew, those that are not in the file yet are there, by
// name and by MAC, and are no later ones when they are back.
func TestLeasesStayWhileTheyAreWritten(t *testing.T) {
	for range 20 {
		c := newClaimants(1)[0]
		now := int64(1_700_000_000_000)
		c.look(now, 1)
		c.lease(now, macOf(1), "web")
		c.lease(now, macOf(2), "web") // has no pin
		c.look(now+5000, 1)
		text := c.leases
		c.leases = nil
		c.look(now+9000, 1)
		if o := c.own["web"]; o == nil || c.own[o.MAC] != o {
			t.Fatalf("have %v", c.own)
		}
		c.leases = text
		c.look(now+9250, 1)
		for i := 1; i <= 2; i++ {
			if o := c.own[macOf(i)]; o == nil || o.taken != now+5000 {
				t.Fatalf("lease %d: %+v", i, o)
			}
		}
	}
}

// Of two that have a name for as long the one with the lower address keeps it.
func TestEqualClaims(t *testing.T) {
	all := newClaimants(2)
	for _, c := range all {
		c.lease(1000, macOf(c.i), "web")
		c.look(2000, 2)
	}
	for i, c := range all { // server 1 has 10.0.4.253, server 0 .254
		their := *all[1-i].own["web"]
		their.server = all[1-i].Me
		answer, _ := c.take(&their, true, 2000)
		if objects := answer != nil; objects != (i == 1) {
			t.Errorf("server %d objects: %v", i, objects)
		}
	}
}

// Nothing is taken for a claim that is none, and what is written is read.
func FuzzClaims(f *testing.F) {
	f.Add("43200000 02:00:00:00:66:66 10.0.4.66 web 99999999")
	f.Add("99999999999999999999999 02:00:00:00:66:66 10.0.4.66 web 99999999999999999999")
	f.Add("43200000 02:00:00:00:66:66 10.0.4.66 web 99999999 -7")
	f.Add("43200000 02:00:00:00:66:66 10.0.4.66 web 99999999 99999999999999999999")
	f.Add("0 00:00:00:00:00:00 0.0.0.0 w 0")
	f.Add("1 02:00:00:00:66:66:77:88 fd00::1 web -7")
	f.Fuzz(func(t *testing.T, line string) {
		c := ReadClaim(line)
		if c == nil {
			return
		}
		if !isHostName(c.name) || strings.ContainsAny(c.Addr+c.MAC+c.name, "\n /") || c.until < 0 || c.since < 0 {
			t.Fatalf("%q is %+v", line, c)
		}
		const now = int64(1_700_000_000_000)
		c.CameFrom(netip.Addr{}, now)
		for _, text := range Texts("asks x", []*Claim{c, c}, now) {
			if len(text) > mostClaims+200 {
				t.Errorf("a message of %d bytes", len(text))
			}
			_, lines, _ := strings.Cut(text, "\n")
			for line := range strings.Lines(lines) {
				again := ReadClaim(line)
				if again == nil || again.name != c.name || again.Addr != c.Addr || again.MAC != c.MAC || again.until != c.until-now ||
					(again.taken < 0) != c.found || max(again.taken, -again.taken) != max(now-c.taken, 1) {
					t.Errorf("%q is read as %+v, was %+v", line, again, c)
				}
			}
		}
	})
}

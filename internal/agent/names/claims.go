package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// With distributed DHCP a name belongs to the container, that is the MAC, which had it
// first on any server. The names' processes of a network tell each other which of their
// leases have a name, or want one. A server whose lease had the name longer answers, and the
// server that asked gives the name up. Messages contain ages, not times, because servers'
// clocks differ. No server waits for another: a lease has a name until a server objects.

// Claim is a lease's claim to a name. Times are ms since 1970 by this server's clock.
type Claim struct {
	name, MAC, Addr string // in lower case
	since           int64  // 0: the name is wanted, not had
	until           int64  // when the lease ends
	taken           int64  // when the file was written in which its server saw that the lease was new or renewed
	found           bool   // the lease was there when its server began to look: it was taken before taken
	server          netip.Addr
	wanted          int64 // of another server's claim: when a lease of this server last wanted the name
	news            bool  // the other servers do not know yet since when it has the name
}

// Nobodys says that no lease has name, or wants it.
func Nobodys(name string) *Claim { return &Claim{name: name, MAC: anyMAC, Addr: "0.0.0.0"} }

// replaces says whether the container that c and o are of took c's lease after o's: it
// moved. When a lease ends does not tell: clients ask for shorter ones. In doubt it is false.
func (c *Claim) replaces(o *Claim) bool { return !c.found && c.taken > o.taken+leastMove }

// Asks and Says are how a message begins, before the network's mark.
const Asks, Says = "asks ", "says "

const (
	mostClaims = 1100    // bytes of a message from where no claim is added; one has 145 at most
	longest    = 1 << 40 // ms
	leastMove  = 100     // ms from one lease to the next; packets take less
	firstLooks = 400     // ms in which all leases are found that were there before
	leastAge   = 1000    // ms by which ages differ that are not the same
	anyMAC     = "00:00:00:00:00:00"
)

// Texts are claims as messages, each of which fits into a packet: lines of how
// long the lease lasts (ms), MAC, address, name, for how long it had the name (ms, 0: it
// has not), and how long ago it was taken (ms, negative: at least so long).
func Texts(head string, claims []*Claim, now int64) (out []string) {
	for _, c := range claims {
		last := len(out) - 1
		if last < 0 || len(out[last]) > mostClaims {
			out = append(out, head+"\n")
			last++
		}
		age, taken := int64(0), max(now-c.taken, 1)
		if c.since != 0 {
			age = max(now-c.since, 1)
		}
		if c.found {
			taken = -taken
		}
		out[last] += fmt.Sprintln(max(c.until-now, 0), c.MAC, c.Addr, c.name, age, taken)
	}
	return out
}

// ReadClaim reads what another server says of a claim: until, since and taken are the
// numbers in it. It is nil for what is none.
func ReadClaim(line string) *Claim {
	f := strings.Fields(line)
	taken := int64(0)
	if len(f) == 6 {
		taken, _ = strconv.ParseInt(f[5], 10, 64) // of more bits: the longest
		f = f[:5]
	}
	c := readLease(f, nil)
	if c == nil {
		return nil
	}
	c.taken = min(max(taken, -longest), longest)
	c.since, _ = strconv.ParseInt(f[4], 10, 64) // of more bits: the longest
	c.since = max(min(c.since, longest), 0)
	return c
}

// CameFrom makes the ages of c, which a server has just told, times of this server.
func (c *Claim) CameFrom(server netip.Addr, now int64) {
	c.server, c.until = server, now+c.until
	if c.since != 0 {
		c.since = now - c.since
	}
	c.found = c.taken <= 0
	c.taken = now - max(c.taken, -c.taken)
}

// Claims are what is known of the names of one network. They belong to one goroutine at a time.
type Claims struct {
	Me      netip.Addr        // this server's own address there; it may change
	own     map[string]*Claim // of this server's leases, by name and by MAC
	seen    map[string]*Claim // leases of this server that last longer or are in its file, by address
	begun   int64             // when the leases were first read
	others  map[string]*Claim // names that leases of other servers have and leases of this server want or wanted
	changed bool              // own or others, since the directory of names was written
}

// NewClaims are those of a server that knows none yet. The first Update reads its own.
func NewClaims() *Claims { return &Claims{others: map[string]*Claim{}} }

// Changed says whether Take changed what the pins are to be since the last Update.
func (n *Claims) Changed() bool { return n.changed }

// Given says whether another lease of this server than that at addr, or one of another
// server, has name.
func (n *Claims) Given(name, addr string) bool {
	o := n.own[name]
	return n.others[name] != nil || o != nil && o.Addr != addr
}

// Repeat adds to tell what other servers were told before: claims of leases here, in any
// order, until tell has most; and those names that leases of others have, about which a
// server answers if it is still there.
func (n *Claims) Repeat(tell []*Claim, most int) []*Claim {
	for key, c := range n.own {
		if key == c.name && len(tell) < most {
			tell = append(tell, c)
		}
	}
	for name := range n.others {
		tell = append(tell, Nobodys(name))
	}
	return tell
}

// Take compares what another server says with what is known. Answer is what that server
// has to know; moved is a lease of this server whose container is at that server now.
// Where it is in doubt which of a container's leases is the later one, they are treated
// as leases of two containers: none is ended, and the one that had the name longer has it.
// Before one is, look calls Update: its container may have renewed it since the last one.
func (n *Claims) Take(c *Claim, asked bool, now int64, look func()) (answer, moved *Claim) {
	if answer, moved = n.take(c, asked, now); moved != nil {
		look()
		return n.take(c, asked, now)
	}
	return answer, nil
}

func (n *Claims) take(c *Claim, asked bool, now int64) (answer, moved *Claim) {
	if o := n.own[c.MAC]; o != nil && c.MAC != anyMAC {
		same := o.name == c.name
		switch {
		case o.replaces(c):
			if same && c.since != 0 && (o.since == 0 || c.since < o.since) {
				o.since, o.news, n.changed = c.since, true, true
			}
			return o, nil
		case c.replaces(o):
			if !same || o.since == 0 || c.since != 0 && c.since < o.since+leastAge {
				moved = o
			} // otherwise that server has to know first since when the lease here had the name
			return o, moved
		}
	}
	o, other := n.own[c.name], n.others[c.name]
	if o == nil {
		o = Nobodys(c.name)
	}
	its := other != nil && other.server == c.server
	switch {
	case c.since == 0: // it does not have the name, or not any more
		if its && c.MAC != anyMAC && c.server.Less(n.Me) {
			other.since = now // it will have it: of two that want it the lower address gets it
		} else if its {
			delete(n.others, c.name)
			n.changed = true
		}
		return o, nil
	case asked && o.since != 0 && (o.since < c.since || o.since == c.since && n.Me.Less(c.server)):
		return o, nil
	case other == nil && o.MAC == anyMAC: // nobody here wants it
	case other == nil || its || c.MAC != other.MAC && c.since < other.since || c.MAC == other.MAC && c.replaces(other):
		if c.wanted = now; other != nil {
			c.wanted = other.wanted
		}
		n.others[c.name], n.changed = c, true
	}
	return nil, nil
}

// Pin is what a lease's address is called by a file of the directory of names.
type Pin struct {
	Name  string
	Since int64 // ms since 1970; of other servers': 0
}

// wantedFor is how long (ms) this server keeps the name of another server's container from
// its own containers after one of them last wanted it. A container that asks for the name
// again and again does not have it in between.
const wantedFor = 10 * 60 * 1000

// Update makes n what the text of a lease file, which was written last at written, and the
// pins say: that is what d's dnsmasq does. It returns the claims that changed, and what the
// pins are to be.
func (n *Claims) Update(d spec.DHCP, leases string, written int64, pins map[string]Pin, now int64) (news []*Claim, want map[string]Pin) {
	before := n.own
	n.readOwn(d, leases, written, pins, now)
	want = map[string]Pin{}
	for name, c := range n.others {
		o := n.own[name]
		if o != nil && o.MAC == c.MAC && o.replaces(c) { // it moved here
			if o.since == 0 || c.since < o.since {
				o.since = c.since
			}
		} else if o != nil && o.since != 0 && o.since < c.since-leastAge {
			// it moved here, and had the name before c
		} else if now < c.until && slices.Contains(d.Peers, c.server) && (o != nil || now < c.wanted+wantedFor) {
			want[c.Addr] = Pin{Name: name}
			if o != nil {
				o.since, c.wanted = 0, now
			}
			continue
		}
		delete(n.others, name)
	}
	for key, o := range n.own {
		if key != o.name {
			if n.own[o.name] != o {
				o.since = 0 // another one here has it
			}
			continue
		}
		if n.others[key] == nil {
			if o.since == 0 {
				o.since = now
			}
			want[o.Addr] = Pin{key, o.since}
		}
		if b := before[key]; b == nil || b.MAC != o.MAC || b.until != o.until || (b.since == 0) != (o.since == 0) || b.news {
			o.news = false
			news = append(news, o)
		}
	}
	for key, b := range before {
		if key == b.name && n.own[key] == nil {
			news = append(news, Nobodys(key))
		}
	}
	n.changed = false
	return news, want
}

// readOwn reads the claims of leases. Of several leases that want a name, that one has it
// which had it first, by its pin, or which another server knows by this name. dnsmasq writes
// the file anew in place: a lease with a pin that is missing in it is still there.
func (n *Claims) readOwn(d spec.DHCP, leases string, written int64, pins map[string]Pin, now int64) {
	before, seen := n.own, map[string]*Claim{}
	n.own = map[string]*Claim{}
	if n.begun == 0 {
		n.begun = now
	}
	known := map[string]string{} // dnsmasq gives no name of which it believes that another lease here has it
	for name, c := range n.others {
		known[c.MAC] = name
	}
	for _, c := range leasesOf(leases, d, known) {
		if c.MAC == anyMAC { // it would be nobody's
			continue
		}
		c.until *= 1000 // dnsmasq writes seconds
		c.taken, c.found = min(written, now), now < n.begun+firstLooks
		if b := n.seen[c.Addr]; b != nil && b.MAC == c.MAC && b.until == c.until {
			c.taken, c.found = b.taken, b.found
		}
		seen[c.Addr] = c
		if p := pins[c.Addr]; p.Name != "" {
			c.name, c.since = p.Name, min(p.Since, now) // the clock may have been set
		}
		if b := before[c.MAC]; b != nil && b.name == c.name && b.Addr == c.Addr && b.since != 0 && (c.since == 0 || c.since > b.since) {
			c.since = b.since // since before it moved here
		}
		have, other := n.own[c.name], n.others[c.name]
		if have == nil || c.since != 0 && (have.since == 0 || c.since < have.since) || other != nil && other.MAC == c.MAC {
			n.own[c.name] = c
		}
		n.own[c.MAC] = c
	}
	n.hold(before, seen, pins, now)
}

// hold keeps what the file that was read just now does not have: of the leases before it
// those with a pin, and of all that were seen when they were taken.
func (n *Claims) hold(before, seen map[string]*Claim, pins map[string]Pin, now int64) {
	var kept []*Claim
	for _, c := range before {
		if pins[c.Addr].Name == c.name && n.own[c.name] == nil && n.own[c.MAC] == nil && now < c.until {
			kept = append(kept, c)
		}
	}
	for _, c := range kept {
		n.own[c.name], n.own[c.MAC] = c, c
	}
	for addr, c := range n.seen {
		if seen[addr] == nil && now < c.until {
			seen[addr] = c
		}
	}
	n.seen = seen
}

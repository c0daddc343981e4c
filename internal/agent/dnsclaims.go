//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// With distributed DHCP a name belongs to the container, that is the MAC, which had it
// first on any server. The names' processes of a network tell each other which leases of
// theirs have a name, or want one; who had it longer says so, and the other one obeys.
// Ages travel, not times: servers' clocks differ. Nobody is waited for: a name that no
// server objects to is had.

// claim is a lease's claim to a name. Times are ms since 1970 by this server's clock.
type claim struct {
	name, mac, addr string // in lower case
	since           int64  // 0: the name is wanted, not had
	until           int64  // when the lease ends
	server          netip.Addr
	wanted          int64 // of another server's: when a lease of this one last wanted the name
	news            bool  // its age is another than the others were told
}

// nobodys says that nobody has name, or wants it.
func nobodys(name string) *claim { return &claim{name: name, mac: anyMAC, addr: "0.0.0.0"} }

// replaces says whether the container that c and o are of took c's lease after o's: it
// moved. Leases are all as long.
func (c *claim) replaces(o *claim) bool { return c.until > o.until+leastMove }

const (
	asks, says = "asks ", "says " // how a message begins, before the network's mark
	mostClaims = 1100             // bytes of a message from where no claim is added; one has 130 at most
	longest    = 1 << 40          // ms
	leastMove  = 100              // ms from one lease to the next; packets take less
	leastAge   = 1000             // ms by which ages differ that are not the same
	anyMAC     = "00:00:00:00:00:00"
)

// claimTexts are claims as messages, each of which fits into a packet: lines of how
// long the lease lasts (ms), MAC, address, name, and for how long it had the name (ms, 0: it
// has not).
func claimTexts(head string, claims []*claim, now int64) (out []string) {
	for _, c := range claims {
		last := len(out) - 1
		if last < 0 || len(out[last]) > mostClaims {
			out = append(out, head+"\n")
			last++
		}
		age := int64(0)
		if c.since != 0 {
			age = max(now-c.since, 1)
		}
		out[last] += fmt.Sprintln(max(c.until-now, 0), c.mac, c.addr, c.name, age)
	}
	return out
}

// readClaim reads a lease of IPv4 with a name, or what another server says of one: until
// and since are the numbers in it. A lease without a name has that by which its MAC is
// known. It is nil for what is neither.
func readClaim(line string, known map[string]string) *claim {
	f := strings.Fields(line)
	if len(f) == 5 && f[3] == "*" {
		f[3] = known[strings.ToLower(f[1])]
	}
	if !isLease(f) || strings.Contains(f[2], ":") || !isHostName(f[3]) {
		return nil
	}
	c := &claim{name: strings.ToLower(f[3]), mac: strings.ToLower(f[1]), addr: f[2]}
	c.until, _ = strconv.ParseInt(f[0], 10, 64) // of more bits: the longest
	c.since, _ = strconv.ParseInt(f[4], 10, 64) // of a lease there is none
	c.until, c.since = min(c.until, longest), max(min(c.since, longest), 0)
	return c
}

// claims are what is known of the names of one network.
type claims struct {
	me      netip.Addr
	own     map[string]*claim // of this server's leases, by name and by MAC
	others  map[string]*claim // had by others, which leases of this server want or wanted, by name
	changed bool              // since the files were last made to say so
}

// take compares what another server says with what is known. Answer is what it is told
// in turn; moved is a lease of a container that is at its place now.
func (n *claims) take(c *claim, asked bool, now int64) (answer, moved *claim) {
	if o := n.own[c.mac]; o != nil {
		same := o.name == c.name
		switch {
		case !c.replaces(o):
			if same && c.since != 0 && (o.since == 0 || c.since < o.since) {
				o.since, o.news, n.changed = c.since, true, true
			}
		case !same || o.since == 0 || c.since != 0 && c.since < o.since+leastAge:
			moved = o
		} // otherwise it has to know first for how long the name was had here
		return o, moved
	}
	o, other := n.own[c.name], n.others[c.name]
	if o == nil {
		o = nobodys(c.name)
	}
	its := other != nil && other.server == c.server
	switch {
	case c.since == 0: // it does not have the name, or not any more
		if its && c.mac != anyMAC && c.server.Less(n.me) {
			other.since = now // it will: of two that want it the lower address has it
		} else if its {
			delete(n.others, c.name)
			n.changed = true
		}
		return o, nil
	case asked && o.since != 0 && (o.since < c.since || o.since == c.since && n.me.Less(c.server)):
		return o, nil
	case other == nil && o.mac == anyMAC: // nobody here wants it
	case other == nil || its || c.mac != other.mac && c.since < other.since || c.mac == other.mac && c.replaces(other):
		if c.wanted = now; other != nil {
			c.wanted = other.wanted
		}
		n.others[c.name], n.changed = c, true
	}
	return nil, nil
}

// pin is what a lease's address is called by a file of the directory of names.
type pin struct {
	name  string
	since int64 // of other servers': 0
}

// wantedFor is how long (ms) the name of another server's container is kept from those of
// this one after the last of them wanted it: who asks for it again and again does not
// have it in between.
const wantedFor = 10 * 60 * 1000

// settle makes n what the text of a lease file and the pins say, which is what d's
// dnsmasq does. It returns the claims that changed, and what the pins are to be.
func (n *claims) settle(d spec.DHCP, leases string, pins map[string]pin, now int64) (news []*claim, want map[string]pin) {
	before := n.own
	n.readOwn(d, leases, pins, now)
	want = map[string]pin{}
	for name, c := range n.others {
		o := n.own[name]
		if o != nil && o.mac == c.mac { // it moved here
			if o.since == 0 || c.since < o.since {
				o.since = c.since
			}
		} else if o != nil && o.since != 0 && o.since < c.since-leastAge {
			// it moved here, and had the name before that one
		} else if now < c.until && slices.Contains(d.Peers, c.server) && (o != nil || now < c.wanted+wantedFor) {
			want[c.addr] = pin{name: name}
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
			want[o.addr] = pin{key, o.since}
		}
		if b := before[key]; b == nil || b.mac != o.mac || b.until != o.until || (b.since == 0) != (o.since == 0) || b.news {
			o.news = false
			news = append(news, o)
		}
	}
	for key, b := range before {
		if key == b.name && n.own[key] == nil {
			news = append(news, nobodys(key))
		}
	}
	n.changed = false
	return news, want
}

// readOwn reads the claims of leases. Of several that want a name the one has it that had it
// first, by its pin, or that another server knows by this name. dnsmasq writes the file anew in
// place, so a lease with a pin that is not in it is still there.
func (n *claims) readOwn(d spec.DHCP, leases string, pins map[string]pin, now int64) {
	before := n.own
	n.own = map[string]*claim{}
	known := map[string]string{} // dnsmasq gives no name of which it believes that another lease here has it
	for name, c := range n.others {
		known[c.mac] = name
	}
	for _, c := range leasesOf(leases, d, known) {
		b := before[c.mac]
		if b != nil && b.until/1000 == c.until {
			c.until = b.until
		} else { // new: dnsmasq writes seconds
			c.until = min(max(now+leaseTime, c.until*1000), c.until*1000+999)
		}
		if p := pins[c.addr]; p.name != "" {
			c.name, c.since = p.name, min(p.since, now) // the clock may have been set
		}
		if b != nil && b.name == c.name && b.addr == c.addr && b.since != 0 && (c.since == 0 || c.since > b.since) {
			c.since = b.since // since before it moved here
		}
		have, other := n.own[c.name], n.others[c.name]
		if have == nil || c.since != 0 && (have.since == 0 || c.since < have.since) || other != nil && other.mac == c.mac {
			n.own[c.name] = c
		}
		n.own[c.mac] = c
	}
	for key, c := range before {
		if pins[c.addr].name == c.name && n.own[c.name] == nil && n.own[c.mac] == nil && now < c.until {
			n.own[key] = c
		}
	}
}

package verify

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What a network can be beside what its legs are, when packets go where they must not.
const (
	Clear  = "clear"  // packets of an encrypted network pass below it as they are
	Astray = "astray" // a route leads packets of the network elsewhere
)

// Outside is a sign that packets of a network go another way than its own.
type Outside struct {
	Network, Server string
	To              netip.Prefix // of a route that is not flock's; an address: a packet's destination
	From            netip.Addr   // the packet's source; invalid: it is a route
	Device          string       // that the packet passed
	kept            bool         // it may be needed: flock has a route of the same destination, or a device has it
	stays           bool         // it is a device's that is not the network's: packets stay on the server
}

// own are the addresses that packets of a network have and no others below it: not what is behind
// its members.
func own(n *state.Network) []netip.Prefix {
	list := ground.Pools(n)
	if n.Mesh.IsValid() {
		list = append(list, n.Mesh)
	}
	return list
}

func within(list []netip.Prefix, p netip.Prefix) bool {
	return slices.ContainsFunc(list, func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Contains(p.Addr()) })
}

// Strays are routes on members that answered (facts), into a network's own subnets and not flock's:
// to what no member has, past the network, or to a device that others made. What a member was dealt
// itself is its own affair, and what it refuses goes nowhere. An IPv4 route beside flock's of the
// same destination has a metric, and the kernel prefers flock's, which has none.
func Strays(c *state.Cluster, compiled *ground.Compiled, network string, facts map[string]*spec.Facts) (out []Outside) {
	n := c.Networks[network]
	for _, m := range n.Members {
		server := ground.ServerOf(m)
		f := facts[server]
		if f == nil || !led(compiled.Hosts[server], network, own(n)) {
			continue
		}
		var dealt []netip.Prefix
		if a := n.Allocated[server]; a != nil {
			dealt = a.Subnets
		}
		routed, local := slices.Clone(f.Routed), slices.Clone(f.Local)
		for _, i := range f.Interfaces {
			routed = append(routed, i.Direct...)
			for _, a := range i.Addrs {
				local = append(local, a.Masked())
			}
		}
		for i, p := range slices.Concat(routed, local) {
			stays := i >= len(routed)
			shared := slices.ContainsFunc(compiled.Hosts[server].Routes, func(r spec.Route) bool { return r.Dst == p })
			harmless := slices.Contains(f.Refused, p) || shared && p.Addr().Is4() || stays && p.IsSingleIP()
			if within(own(n), p) && !within(dealt, p) && !harmless {
				out = append(out, Outside{Network: network, Server: server, To: p, kept: shared || stays, stays: stays})
			}
		}
	}
	return out
}

// led says whether flock leads packets of a network from a server to others. Of a network that only
// deals subnets (alloc) others make the routes.
func led(h *spec.Host, network string, own []netip.Prefix) bool {
	return h.BGP != nil && h.BGP.Network == network || slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Network == network && l.Kind != spec.Bridge }) ||
		slices.ContainsFunc(h.Routes, func(r spec.Route) bool { return !r.Unreachable && within(own, r.Dst) })
}

// What is kept of a packet, in bytes, and of the pairs of addresses that were seen.
const (
	watchSnap = 64
	mostPairs = 100
)

// Watch has a server take packets of its own that pass below encrypted networks as they are, while
// others are sent: with both addresses in the network's own subnets, on the device that its tunnels leave
// by. It takes those of one device; further encrypted networks are in it if they have the same.
func Watch(c *state.Cluster, compiled *ground.Compiled, server string, networks []string) *spec.CaptureRequest {
	r := &spec.CaptureRequest{Mine: true}
	var nets []string
	for _, name := range networks {
		dev := compiled.Places[ground.Membership{Server: server, Network: name}].Interface
		if h := compiled.Hosts[server]; dev == "" || h == nil || r.Device != "" && r.Device != dev ||
			!slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Network == name && l.Kind == spec.WireGuard }) {
			continue
		}
		r.Device = dev
		for _, p := range own(c.Networks[name]) {
			nets = append(nets, fmt.Sprintf("(src net %s and dst net %s)", p, p))
		}
	}
	if len(nets) == 0 {
		return nil
	}
	f, err := capture.ParseFilter(strings.Join(nets, " or "), nil)
	if err == nil {
		r.Frames, r.Packets, err = f.Programs(watchSnap)
	}
	if err != nil {
		return nil // more networks than a program has room for
	}
	return r
}

// Leaks are the packets that a Watch took, one for each network and pair of addresses, and not of
// more than a hundred. The error says that their sender is no agent of ours.
func Leaks(c *state.Cluster, networks []string, server, device string, reply *spec.CaptureReply) (out []Outside, err error) {
	packets, err := capture.Unpack(0, capture.Source{Ethernet: reply.Ethernet, Snap: watchSnap}, reply)
	seen := map[Outside]bool{}
	for _, p := range packets {
		from, to := ends(p.Bytes, reply.Ethernet)
		for _, name := range networks {
			o := Outside{Network: name, Server: server, Device: device, From: from}
			if n := own(c.Networks[name]); from.IsValid() && within(n, netip.PrefixFrom(from, from.BitLen())) && within(n, netip.PrefixFrom(to, to.BitLen())) {
				o.To = netip.PrefixFrom(to, to.BitLen())
				if !seen[o] && len(out) < mostPairs {
					seen[o], out = true, append(out, o)
				}
			}
		}
	}
	return out, err
}

// ends are source and destination of an IP packet; invalid: it is none.
func ends(b []byte, ethernet bool) (from, to netip.Addr) {
	if ethernet {
		at := 14
		if len(b) >= 14 && binary.BigEndian.Uint16(b[12:]) == 0x8100 { // IEEE 802.1Q
			at = 18
		}
		b = b[min(at, len(b)):]
	}
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	}
	return from, to
}

// State says what it is: Clear or Astray.
func (o Outside) State() string {
	if o.From.IsValid() {
		return Clear
	}
	return Astray
}

// SumOutside says in a few words what leaves a network; "": nothing does.
func SumOutside(list []Outside) string {
	var words, clear []string
	astray := 0
	for _, o := range list {
		switch {
		case o.State() == Astray:
			astray++
		case !slices.Contains(clear, o.Server):
			clear = append(clear, o.Server)
		}
	}
	switch {
	case astray == 1:
		words = append(words, "1 route astray")
	case astray > 1:
		words = append(words, fmt.Sprintf("%d routes astray", astray))
	}
	if len(clear) > 0 {
		words = append(words, "packets in clear on "+strings.Join(clear, ", "))
	}
	return strings.Join(words, ", ")
}

// SaysOutside are sentences about signs, and what to type next.
func SaysOutside(list []Outside, apart map[string]bool) (says []string, next string) {
	for _, o := range list { // of a route first: it may be why packets are in clear
		if o.State() == Astray {
			what := "%s has a route to %s that is not flock's: what is for there leaves %s by it"
			if o.stays {
				what = "%s has %s on a device that is not flock's: what is for there leaves %s"
			}
			says = append(says, fmt.Sprintf(what, o.Server, o.To, o.Network))
			family := ""
			if o.To.Addr().Is6() {
				family = "-6 "
			}
			command := fmt.Sprintf("flock each %s -- ip %sroute del %s", o.Server, family, o.To)
			if o.kept {
				command = fmt.Sprintf("on %s: ip %sroute show %s", o.Server, family, o.To)
			}
			if next == "" {
				next = command
			}
		}
	}
	for _, o := range list {
		if o.State() == Clear {
			says = append(says, fmt.Sprintf("packets of %s from %s to %s pass %s of %s in clear", o.Network, o.From, o.To.Addr(), o.Device, o.Server))
			switch {
			case next != "":
			case apart[o.Server]:
				next = "flock apply"
			default:
				next = fmt.Sprintf("on %s: ip route get %s", o.Server, o.To.Addr())
			}
		}
	}
	return says, next
}

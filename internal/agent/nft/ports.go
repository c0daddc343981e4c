//go:build linux

package nft

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Frames from a container bridge's ports are filtered before the bridge forwards them or
// learns from them. The rules begin with what tells their packets from bulk traffic.
// Which bridge a frame came in by is asked last, and where the kernel can say it alone
// (CONFIG_NFT_BRIDGE_META); addresses and MACs of ours say it as well.

// Ports of DHCP clients, to which only servers send, from whatever port (RFC 2131, RFC 8415),
// and the type of redirects, which only routers send (RFC 4861).
const (
	dhcpClient, dhcp6Client = 68, 546
	icmp6Redirect           = 137
)

// guardObjects are the rules for a bridge's ports. They come after those of the gateway,
// whose MAC is the bridge's by then.
func (n *Filters) guardObjects(g spec.Guard) ([]object, error) {
	macs, err := net.ParseMAC(g.ServerMACs)
	if err != nil {
		return nil, fmt.Errorf("read the bridge MACs of %s: %w", g.Network, err)
	}
	mask, err := net.ParseMAC(g.ServerMask)
	if err != nil {
		return nil, fmt.Errorf("read the mask of the bridge MACs of %s: %w", g.Network, err)
	}
	o := object{tag: portsTag(g), bridge: true, network: g.Network}
	var local exprs // in by a port that no server is behind
	if g.Uplink != "" {
		local = iif(expr.CmpOpNeq, g.Uplink)
	}
	o.add(preroutingChain, rule(masked(linkLayer, etherSrc, expr.CmpOpEq, macs, []byte(mask)), local, drop()))
	o.addClaims(g, local)
	o.addClosed(g, masked(linkLayer, etherDst, expr.CmpOpEq, macs, []byte(mask)), local)
	ip := object{tag: portsTag(g), network: g.Network}
	if len(g.Closed) > 0 {
		ip.addClosedToStack(g, macs, mask)
	}
	if g.Isolated != nil {
		ip.addIsolation(g)
		if g.Uplink != "" {
			o.addNoServer(g, local)
		}
	}
	if g.Resolve != nil {
		ip.addResolve(g)
	}
	switch {
	case !g.DHCP:
	case n.asksForBridges():
		at := rule(local, exprs{&expr.Meta{Key: expr.MetaKeyBRIIIFNAME, Register: reg}, cmp(expr.CmpOpEq, ifname(g.Bridge))})
		o.add(preroutingChain,
			rule(toClient(dhcpClient), etherType(unix.ETH_P_IP), at, drop()),
			rule(toClient(dhcp6Client), etherType(unix.ETH_P_IPV6), at, drop()),
			rule(icmp6(routerAdvert), at, drop()),
			rule(icmp6(icmp6Redirect), at, drop()))
	default:
		ip.addBridged(g, macs, mask)
	}
	if len(ip.rules) == 0 {
		return []object{o}, nil
	}
	return []object{o, ip}, nil
}

// addClaims drops ARP and neighbour discovery messages in the name of a server.
func (o *object) addClaims(g spec.Guard, local exprs) {
	if four := ofFamily(g.Servers, true); len(four) > 0 {
		o.add(preroutingChain, rule(arp(), o.lookup(networkLayer, arpSenderIP, four), local, drop()))
	}
	if six := ofFamily(g.Servers, false); len(six) > 0 {
		o.add(preroutingChain,
			rule(icmp6(nbrAdvert), o.lookup(transportLayer, ndTarget, six), local, drop()),
			// A solicitation teaches its sender's MAC as well (RFC 4861, 7.2.3).
			rule(icmp6(nbrSolicit), o.lookup(networkLayer, ip6Src, six), local, drop()))
	}
}

// addClosed drops what containers send to the ports of tunnels and of the names' processes of
// servers, at the port that it comes in by. addClosedToStack drops the rest of it.
func (o *object) addClosed(g spec.Guard, toServer, local exprs) {
	for _, port := range g.Closed {
		for _, four := range []bool{true, false} {
			kind, at := uint16(unix.ETH_P_IPV6), ip6Dst
			if four {
				kind, at = unix.ETH_P_IP, ip4Dst
			}
			if servers := ofFamily(g.Servers, four); len(servers) > 0 {
				o.add(preroutingChain, rule(dports(unix.IPPROTO_UDP, port, port), toServer, etherType(kind), o.lookup(networkLayer, at, servers), local, drop()))
			}
		}
	}
}

// closedChain has what servers forward to closed ports.
const closedChain = "closed"

// addClosedToStack drops what this server's own stack gets from containers, at whatever MAC,
// for closed ports of this server and, through it, of others: with that they could write into
// other networks. A bridge takes frames in that are for it, and those for the MAC of the port
// that they come in by (br_handle_frame: PACKET_HOST), a container's or the uplink; so the
// sender's MAC counts, which for a container is none of the servers' (guardObjects). What
// containers send each other passes.
func (o *object) addClosedToStack(g spec.Guard, macs, mask net.HardwareAddr) {
	in := iif(expr.CmpOpEq, g.Bridge)
	for _, port := range g.Closed {
		closed := rule(dports(unix.IPPROTO_UDP, port, port), in, masked(linkLayer, etherSrc, expr.CmpOpNeq, macs, mask))
		o.add(inputChain, rule(closed, drop()))
		o.add(forwardChain, rule(closed, exprs{&expr.Verdict{Kind: expr.VerdictJump, Chain: closedChain}}))
	}
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		family, at := nfproto(any), ip6Dst
		if any.Is4() {
			at = ip4Dst
		}
		if servers := ofFamily(g.Servers, any.Is4()); len(servers) > 0 {
			o.add(closedChain, rule(in, family, o.lookup(networkLayer, at, servers), drop()))
		}
		if subnets := ofFamily(g.Subnets, any.Is4()); len(subnets) > 0 {
			o.add(closedChain, rule(in, family, inverted(o.lookup(networkLayer, at, subnets)), oif(expr.CmpOpNeq, g.Bridge), drop()))
		}
	}
}

//go:noinline
func ofFamily(list []netip.Prefix, four bool) []netip.Prefix {
	return spec.Without(list, func(p netip.Prefix) bool { return p.Addr().Is4() != four })
}

// lookup matches a field with an address of one of list, which is of one family.
//
//go:noinline
func (o *object) lookup(base expr.PayloadBase, offset int, list []netip.Prefix) exprs {
	set := addressSet(list)
	o.sets = append(o.sets, set)
	return exprs{load(base, offset, list[0].Addr().BitLen()/8), &expr.Lookup{SourceRegister: reg, SetName: set.name}}
}

// inverted is a lookup that matches what is not in the set.
//
//go:noinline
func inverted(lookup exprs) exprs {
	l := *lookup[1].(*expr.Lookup)
	l.Invert = true
	return exprs{lookup[0], &l}
}

// addBridged does without the bridge's name in the bridge family: where bridged
// packets go through IP's hooks (br_netfilter), these know it. Servers behind the uplink
// are known by their MACs, which nobody else has.
func (o *object) addBridged(g spec.Guard, macs, mask net.HardwareAddr) {
	at := rule(iif(expr.CmpOpEq, g.Bridge), oif(expr.CmpOpEq, g.Bridge))
	if g.Uplink != "" {
		at = rule(at, masked(linkLayer, etherSrc, expr.CmpOpNeq, macs, mask))
	}
	v4, v6 := nfproto(netip.IPv4Unspecified()), nfproto(netip.IPv6Unspecified())
	advert := func(kind byte) exprs {
		return rule(v6, l4proto(unix.IPPROTO_ICMPV6), field(transportLayer, 0, expr.CmpOpEq, []byte{kind}))
	}
	o.add(forwardChain,
		rule(v4, toClient(dhcpClient), at, drop()),
		rule(v6, toClient(dhcp6Client), at, drop()),
		rule(advert(routerAdvert), at, drop()),
		rule(advert(icmp6Redirect), at, drop()))
}

func toClient(port uint16) exprs { return dports(unix.IPPROTO_UDP, port, port) }

// doorObject drops connections to a daemon's port from all addresses but those of From, and
// those from behind this server to the same port of theirs: masqueraded, they would come from
// this server.
func doorObject(d spec.Door) object {
	o := object{tag: doorTag(d), network: d.Network}
	from := make([]netip.Prefix, len(d.From))
	for i, a := range d.From {
		from[i] = netip.PrefixFrom(a, a.BitLen())
	}
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		srcAt, dstAt := ip6Src, ip6Dst
		if any.Is4() {
			srcAt, dstAt = ip4Src, ip4Dst
		}
		at := rule(dports(unix.IPPROTO_TCP, d.Port, d.Port), nfproto(any))
		from, behind := ofFamily(from, any.Is4()), ofFamily(d.Behind, any.Is4())
		if len(from) == 0 {
			o.add(inputChain, rule(at, drop()))
			continue
		}
		stranger := inverted(o.lookup(networkLayer, srcAt, from))
		o.add(inputChain, rule(at, stranger, drop()))
		if len(behind) > 0 {
			o.add(forwardChain, rule(at, o.lookup(networkLayer, dstAt, from), o.lookup(networkLayer, srcAt, behind), stranger, drop()))
		}
	}
	return o
}

// asksForBridges says whether rules can ask for the bridge that a frame came in by. The
// kernel does not tell but by taking such a rule; what it said is remembered until
// the next boot.
func (n *Filters) asksForBridges() bool {
	if n.bridges == nil {
		path := ""
		if n.note.path != "" {
			path = filepath.Join(filepath.Dir(n.note.path), bridgesFile)
		}
		said, _ := sysfile.ReadIfThere(path) // not there: it is tried
		can := said == "yes"
		if said == "" {
			can = n.tryBridges() == nil
			if path != "" && sysfile.Exists(filepath.Dir(path)) {
				_, _ = sysfile.WriteIfOther(path, map[bool]string{true: "yes", false: "no"}[can], 0o600) // otherwise it is tried again
			}
		}
		n.bridges = &can
	}
	return *n.bridges
}

// bridgesFile remembers it, below /run.
const bridgesFile = "bridge-names"

func (n *Filters) tryBridges() error {
	o := object{bridge: true}
	o.add(preroutingChain, exprs{&expr.Meta{Key: expr.MetaKeyBRIIIFNAME, Register: reg}, cmp(expr.CmpOpEq, ifname("none"))})
	return n.try([]object{o}, nftables.TableFamilyBridge)
}

package explain

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Words of rules that several objects have. arpAny is ARP for IPv4 on Ethernet; ndTarget is
// where neighbour discovery has the address that it is about (RFC 4861), which nftables
// has no word for before 1.0.8.
const (
	arpAny   = "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
	icmp6    = "meta l4proto ipv6-icmp ether type ip6 icmpv6 type"
	ndTarget = "@th,64,128"
	srcMAC   = "@ll,48,48" // in tables that see more than Ethernet, without a look at the device's type
)

// target is an address as ndTarget is compared with it.
func target(a netip.Addr) string {
	b := a.As16()
	return fmt.Sprintf("%#x", b[:])
}

// gateway are the rules of an address that every member's bridge has.
func (w *writer) gateway(t *table, g spec.Gateway) {
	tag := "gateway " + g.Network + " " + g.Bridge
	own := w.macOf(g.Bridge)
	toHost := "ether daddr set " + own + " meta pkttype set host"
	in, out := `iifname "`+g.Uplink+`"`, `oifname "`+g.Uplink+`"`
	fence := func(chain, at string) {
		t.add(chain, tag, at, "ether daddr", g.MAC, "drop")
		t.add(chain, tag, at, "ether saddr", g.MAC, "drop")
		for _, a := range g.Addrs {
			switch {
			case a.Is4():
				t.add(chain, tag, at, arpAny, "arp saddr ip", a.String(), "drop")
				if chain == "postrouting" {
					t.add(chain, tag, at, arpAny, "arp daddr ip", a.String(), "drop")
				}
			case chain == "prerouting":
				t.add(chain, tag, at, icmp6, "nd-neighbor-advert", ndTarget, target(a), "drop")
			default:
				t.add(chain, tag, at, icmp6, "nd-neighbor-solicit", ndTarget, target(a), "drop")
				t.add(chain, tag, at, icmp6, "nd-neighbor-advert", ndTarget, target(a), "drop")
				t.add(chain, tag, at, icmp6, "nd-neighbor-solicit ip6 saddr", a.String(), "drop")
			}
		}
		if g.FilterDHCP {
			t.add(chain, tag, at, "ether type ip udp dport 67-68 drop")
			t.add(chain, tag, at, "ether type ip6 udp dport 546-547 drop")
			t.add(chain, tag, at, icmp6, "nd-router-solicit drop")
			t.add(chain, tag, at, icmp6, "nd-router-advert drop")
		}
	}
	fence("prerouting", in)
	t.add("prerouting", tag, "ether daddr", g.MAC, toHost)
	for _, four := range []bool{true, false} {
		subnets := ofFamily(g.Subnets, four)
		if g.RouterMACs == "" || len(subnets) == 0 {
			continue
		}
		outside := ""
		for _, p := range append(subnets, scoped(four)...) {
			outside = line(outside, ip(four), "daddr !=", single(p))
		}
		t.add("prerouting", tag, `iifname != "`+g.Uplink+`"`, "ether daddr", maskedMAC(g.RouterMACs, g.RouterMask, "=="), ether(four), outside, toHost)
	}
	fence("postrouting", out)
	for _, a := range g.Addrs {
		if a.Is4() {
			t.add("postrouting", tag, arpAny, "arp saddr ip", a.String(), "ether saddr set", g.MAC, "arp saddr ether set", g.MAC)
		} else {
			t.add("postrouting", tag, icmp6, "nd-neighbor-advert", ndTarget, target(a), "ether saddr set", g.MAC)
		}
	}
}

// scoped are destinations that no router forwards.
func scoped(four bool) []netip.Prefix {
	if four {
		return []netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32")}
	}
	return []netip.Prefix{netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8")}
}

func maskedMAC(mac, mask, op string) string { return "& " + mask + " " + op + " " + mac }

func (w *writer) macOf(link string) string {
	for _, l := range w.own.Links {
		if l.Name == link {
			return l.MAC
		}
	}
	return ""
}

// guard are the rules for a bridge's ports: in the bridge family, and for IP.
func (w *writer) guard(frames, packets *table, g spec.Guard) {
	tag, servers := portsTag(g), func(four bool) []netip.Prefix { return ofFamily(g.Servers, four) }
	local := localPort(g)
	add := func(words ...string) { frames.add("prerouting", tag, words...) }
	add("ether saddr", maskedMAC(g.ServerMACs, g.ServerMask, "=="), local, "drop")
	if list := servers(true); len(list) > 0 {
		add(arpAny, "arp saddr ip", frames.set(list), local, "drop")
	}
	if list := servers(false); len(list) > 0 {
		add(icmp6, "nd-neighbor-advert", ndTarget, w.targets(list), local, "drop")
		add(icmp6, "nd-neighbor-solicit ip6 saddr", frames.set(list), local, "drop")
	}
	for _, port := range g.Closed {
		for _, four := range []bool{true, false} {
			if list := servers(four); len(list) > 0 {
				add("udp dport", portText(port), "ether daddr", maskedMAC(g.ServerMACs, g.ServerMask, "=="), ether(four), ip(four), "daddr", frames.set(list), local, "drop")
			}
		}
	}
	if len(g.Closed) > 0 {
		w.closed(packets, g)
	}
	if g.Isolated != nil {
		w.isolated(packets, g)
	}
	if g.Resolve != nil {
		resolve(packets, g)
	}
	if g.Isolated == nil || g.Uplink == "" {
		return
	}
	for _, four := range []bool{true, false} {
		if list := servers(four); len(list) > 0 {
			add(ether(four), ip(four), "saddr", frames.set(list), local, "drop")
		}
	}
}

func portsTag(g spec.Guard) string { return "ports " + g.Network + " " + g.Bridge }

// localPort matches frames that come in by a port no server is behind.
func localPort(g spec.Guard) string {
	if g.Uplink == "" {
		return ""
	}
	return `iifname != "` + g.Uplink + `"`
}

// targets are addresses that ndTarget is compared with. A named set has no such type.
func (w *writer) targets(list []netip.Prefix) string {
	var out []string
	for _, r := range ranges(list) {
		text := target(r[0])
		if r[0] != r[1] {
			text += "-" + target(r[1])
		}
		out = append(out, text)
	}
	return "{ " + strings.Join(out, ", ") + " }"
}

// closed drops what containers send to ports of the servers' tunnels.
func (w *writer) closed(t *table, g spec.Guard) {
	tag, in := portsTag(g), `iifname "`+g.Bridge+`"`
	for _, port := range g.Closed {
		match := line("udp dport", portText(port), in, srcMAC, maskedNumber(g.ServerMACs, g.ServerMask, "!="))
		t.add("input", tag, match, "drop")
		t.add("forward", tag, match, "jump closed")
	}
	for _, four := range []bool{true, false} {
		if list := ofFamily(g.Servers, four); len(list) > 0 {
			t.add("closed", tag, in, inet(four), ip(four), "daddr", t.set(list), "drop")
		}
		if list := ofFamily(g.Subnets, four); len(list) > 0 {
			t.add("closed", tag, in, inet(four), ip(four), "daddr !=", t.set(list), `oifname != "`+g.Bridge+`"`, "drop")
		}
	}
}

// maskedNumber compares what srcMAC loads.
func maskedNumber(mac, mask, op string) string {
	number := func(mac string) string { return "0x" + strings.ReplaceAll(mac, ":", "") }
	return "& " + number(mask) + " " + op + " " + number(mac)
}

// resolve turns the questions of Docker's containers to the network's own DNS.
func resolve(t *table, g spec.Guard) {
	words := []string{`iifname "` + g.Bridge + `"`, "meta nfproto ipv4 ip saddr", single(g.Resolve.From)}
	for _, p := range ofFamily(g.Subnets, true) {
		words = append(words, "ip daddr !=", single(p))
	}
	for _, proto := range []string{"udp", "tcp"} {
		t.add("resolve", portsTag(g), append(words, proto, "dport 53 dnat ip to", g.Resolve.At.String())...)
	}
}

// isolated keeps an isolated network's containers from the servers.
func (w *writer) isolated(t *table, g spec.Guard) {
	tag, in := portsTag(g), `iifname "`+g.Bridge+`"`
	t.add("input", tag, in, "jump isolate")
	pass := []string{"ct direction reply", "meta l4proto icmp", "meta l4proto ipv6-icmp"}
	for _, four := range []bool{true, false} {
		dhcp, group := "547", netip.MustParsePrefix("ff02::1:2/128")
		if four {
			dhcp, group = "67", netip.MustParsePrefix("255.255.255.255/32")
		}
		if from := ofFamily(g.Isolated.From, four); len(from) > 0 {
			t.add("forward", tag, in, inet(four), ip(four), "daddr", t.set(from), "jump isolate")
		}
		list := ofFamily(g.Servers, four)
		if len(list) == 0 {
			continue
		}
		if g.Uplink != "" {
			pass = append(pass, line(inet(four), ip(four), "saddr", t.set(list)))
		}
		if g.DHCP {
			at := line(ip(four), "daddr", t.set(list))
			pass = append(pass, line(inet(four), "udp dport 53", at), line(inet(four), "tcp dport 53", at),
				line(inet(four), "udp dport", dhcp, ip(four), "daddr", t.set(append(list, group))))
		}
	}
	for _, port := range g.Isolated.Open {
		pass = append(pass, "tcp dport "+portText(port))
	}
	for _, match := range pass {
		t.add("isolate", tag, in, match, "return")
	}
	t.add("isolate", tag, in, "drop")
}

// rogues drop DHCP answers and router advertisements of containers: by the bridge's name,
// and for kernels that do not know that in the bridge family by br_netfilter.
func (w *writer) rogues(g spec.Guard) (frames, packets *table) {
	tag := portsTag(g)
	at := line(localPort(g), `meta ibrname "`+g.Bridge+`"`)
	frames = newTable(bridgeFamily)
	frames.add("prerouting", tag, "udp dport 68 ether type ip", at, "drop")
	frames.add("prerouting", tag, "udp dport 546 ether type ip6", at, "drop")
	frames.add("prerouting", tag, icmp6, "nd-router-advert", at, "drop")
	frames.add("prerouting", tag, icmp6, "nd-redirect", at, "drop")

	at = `iifname "` + g.Bridge + `" oifname "` + g.Bridge + `"`
	if g.Uplink != "" {
		at = line(at, srcMAC, maskedNumber(g.ServerMACs, g.ServerMask, "!="))
	}
	packets = newTable(inetFamily)
	packets.add("forward", tag, "meta nfproto ipv4 udp dport 68", at, "drop")
	packets.add("forward", tag, "meta nfproto ipv6 udp dport 546", at, "drop")
	packets.add("forward", tag, "meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type nd-router-advert", at, "drop")
	packets.add("forward", tag, "meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type nd-redirect", at, "drop")
	return frames, packets
}

// door are the rules of a port that only listed addresses may reach.
func door(t *table, d spec.Door) {
	tag, at := fmt.Sprintf("door %s %d", d.Network, d.Port), "tcp dport "+portText(d.Port)
	for _, four := range []bool{true, false} {
		var from []netip.Prefix
		for _, a := range d.From {
			if a.Is4() == four {
				from = append(from, netip.PrefixFrom(a, a.BitLen()))
			}
		}
		if len(from) == 0 {
			t.add("input", tag, at, inet(four), "drop")
			continue
		}
		stranger := line(ip(four), "saddr !=", t.set(from))
		t.add("input", tag, at, inet(four), stranger, "drop")
		if behind := ofFamily(d.Behind, four); len(behind) > 0 {
			t.add("forward", tag, at, inet(four), ip(four), "daddr", t.set(from), ip(four), "saddr", t.set(behind), stranger, "drop")
		}
	}
}

// among matches a destination among list, or among none of it.
func among(t *table, list []netip.Prefix, so bool) string {
	not := ""
	if !so {
		not = "!="
	}
	family := ip(list[0].Addr().Is4())
	if len(list) == 1 {
		return line(family, "daddr", not, single(list[0]))
	}
	return line(family, "daddr", not, t.set(list))
}

// masquerade hides the containers of a subnet behind the server.
func masquerade(t *table, n spec.NAT) {
	four := n.Subnet.Addr().Is4()
	inside := append([]netip.Prefix{n.Subnet}, ofFamily(n.Except, four)...)
	words := []string{inet(four), ip(four), "saddr", single(n.Subnet), among(t, inside, false)}
	for _, p := range scoped(four) {
		words = append(words, ip(four), "daddr !=", single(p))
	}
	t.add("postrouting", "masquerade "+n.Network+" "+n.Bridge+" "+n.Subnet.String(), append(words, `oifname != "`+n.Bridge+`"`, "masquerade fully-random")...)
}

// preserve keeps the source address of packets whatever masquerading rules there are.
func preserve(t *table, k spec.PreserveSource) {
	four, link := k.Subnet.Addr().Is4(), k.Link
	words := []string{inet(four), ip(four), "saddr", single(k.Subnet)}
	if link == "" {
		link = "-"
	} else {
		words = append(words, `oifname "`+link+`"`)
	}
	if len(k.To) > 0 {
		words = append(words, among(t, k.To, true))
	}
	t.add("keep", "keep "+k.Network+" "+link+" "+k.Subnet.String(), append(words, "snat", ip(four), "to", ip(four), "saddr")...)
}

// inner closes a VXLAN inside a WireGuard mesh to what does not come out of it.
func (w *writer) inner(t *table) {
	for _, l := range w.own.Links {
		if l.Kind != spec.VXLAN || l.Tunnel == nil {
			continue
		}
		for _, a := range w.full.Addrs {
			if a.Prefix.Addr() == l.Tunnel.Local && w.wireGuard(a.Link) {
				t.add("input", "dns "+l.Network+" "+l.Name, `iifname != "`+a.Link+`"`, "udp dport", portText(l.Tunnel.Port),
					"@th,96,24", strconv.FormatUint(uint64(l.Tunnel.VNI), 10), "drop")
				break
			}
		}
	}
}

// wireGuard says whether link is a WireGuard device of the server's.
func (w *writer) wireGuard(link string) bool {
	return len(of(w.full.Links, func(l spec.Link) bool { return l.Name == link && l.Kind == spec.WireGuard })) > 0
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }

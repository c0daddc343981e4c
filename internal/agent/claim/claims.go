//go:build linux

package claim

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/adopt"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// Conflicts are the foreign devices that stand where a link of want would: one of
// the same name, or one that receives the same VXLAN.
func Conflicts(k *host.Host, want *spec.Host) []spec.Problem {
	var out []spec.Problem
	for _, w := range link.MastersFirst(want.Links) {
		l := k.Devices.ByName[w.Name]
		if _, ours := k.Network(l); l != nil && !ours && w.Kind != spec.Port {
			out = append(out, spec.Problem{
				What: fmt.Sprintf("link %s of network %s: %s", w.Name, w.Network, whose(l)),
				Next: orRemove(otherName(w), l),
			})
			continue
		}
		switch {
		case w.Kind == spec.VXLAN && w.Tunnel != nil:
			out = append(out, tunnelConflicts(k, want, w)...)
		case spec.IPTunnel(w.Kind) && w.Tunnel != nil:
			out = append(out, ipTunnelConflicts(k, w)...)
		}
	}
	return out
}

// otherName is the advice for a device whose name is taken.
func otherName(l spec.Link) string {
	switch {
	case l.Network == ownNetwork:
		return mendOwner
	case l.Kind == spec.Bridge:
		return setting(l.Network, "-b BRIDGE")
	}
	return setting(l.Network, "--rename NAME")
}

// tunnelConflicts are the VXLAN devices that w cannot live beside: one that takes
// in the same frames, and one on the same port that receives in another way, for
// which the kernel would need a second socket on the port (linux 6.18: vxlan.h,
// VXLAN_F_RCV_FLAGS; TestGroupPolicyIsPerPort, TestForeignVXLANOnThePort).
func tunnelConflicts(k *host.Host, want *spec.Host, w spec.Link) []spec.Problem {
	var out []spec.Problem
	head := fmt.Sprintf("link %s of network %s: ", w.Name, w.Network)
	add := func(next, format string, args ...any) {
		out = append(out, spec.Problem{What: head + fmt.Sprintf(format, args...), Next: next})
	}
	otherPort := setting(w.Network, "-p PORT")
	for i := range want.Links {
		if l := &want.Links[i]; l.Network == w.Network && l.Kind == spec.WireGuard {
			otherPort = mendOwner // of an l2 network it is WireGuard's
		}
	}
	const policy = "UDP port %d is shared with the link %s, and only one of them has group policy (GBP)"
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		l := k.Devices.ByName[name]
		v, ok := l.(*netlink.Vxlan)
		if _, ours := k.Network(l); !ok || ours || v.Port != int(w.Tunnel.Port) {
			continue
		}
		switch {
		case v.FlowBased:
			add(orRemove(otherPort, l), "UDP port %d belongs to the link %s, which takes in all networks (external)", v.Port, name)
		case v.GBP != w.Tunnel.GBP:
			add(otherPort, policy, v.Port, name)
		case v.UDP6ZeroCSumRx && w.Tunnel.Local.Is6():
			add(orRemove(otherPort, l), "UDP port %d is shared with the link %s, which takes packets without a checksum (udp6zerocsumrx)", v.Port, name)
		case uint32(v.VxlanId) == w.Tunnel.VNI:
			add(orRemove(setting(w.Network, "-v VNI"), l), "VNI %d on UDP port %d is taken by the link %s", v.VxlanId, v.Port, name)
		}
	}
	for _, o := range link.MastersFirst(want.Links) {
		if o.Kind == spec.VXLAN && o.Tunnel != nil && o.Tunnel.Port == w.Tunnel.Port && o.Tunnel.GBP && !w.Tunnel.GBP {
			add(otherPort, policy, w.Tunnel.Port, o.Name)
		}
	}
	return out
}

// VNIs are those of VXLAN devices that are not the cluster's.
func VNIs(k *host.Host) []uint32 {
	var out []uint32
	for _, l := range k.Devices.ByName {
		v, ok := l.(*netlink.Vxlan)
		if _, ours := k.Network(l); ok && !ours {
			out = append(out, uint32(v.VxlanId))
		}
	}
	return out
}

// Own are the addresses of bridges that other programs make by themselves, where the server is to
// have one of its own.
func Own(k *host.Host, want *spec.Host) []spec.Addr {
	var out []spec.Addr
	if slices.ContainsFunc(want.Links, func(l spec.Link) bool { return l.Network == ownNetwork }) {
		noted := adopt.Noted(k) // they get back what they had
		for _, a := range k.Addrs {
			own := spec.Addr{Link: k.Devices.Name(a.LinkIndex), Prefix: host.ToPrefix(a.IPNet)}
			if slices.Contains(spec.OwnBridges, own.Link) && !slices.Contains(noted, own.Link) && own.Prefix.Addr().Is4() {
				out = append(out, own)
			}
		}
	}
	return out
}

// orRemove adds to advice that a device may be removed, unless it is another
// cluster's or one that a server may live by.
func orRemove(advice string, l netlink.Link) string {
	made := l.Type() == spec.Bridge || l.Type() == spec.VXLAN || spec.IPTunnel(l.Type()) && !link.Fallback(l)
	if !made || strings.HasPrefix(l.Attrs().Alias, spec.AliasPrefix) {
		return advice
	}
	return advice + ", or remove it: ip link delete " + l.Attrs().Name
}

func whose(l netlink.Link) string {
	if host.Flocks(l) {
		return "there is one already, it belongs to " + ownerOf(l)
	}
	return fmt.Sprintf("there is one already (%s), flock did not make it", l.Type())
}

// ownerOf is CLUSTER/NETWORK of a device that some cluster made.
func ownerOf(l netlink.Link) string { return strings.TrimPrefix(l.Attrs().Alias, spec.AliasPrefix) }

// Check says which claims of want do not hold. It uses the devices as of the
// last look.
func Check(ctx context.Context, k *host.Host, want *spec.Host) ([]spec.Problem, error) {
	var out []spec.Problem
	claims := distinct(want.Claims)
	var foreign []occupant
	if slices.ContainsFunc(claims, func(c spec.Claim) bool { return c.Prefix.IsValid() }) {
		list, err := occupants(k, want)
		if err != nil {
			return nil, err
		}
		foreign = list
	}
	for _, c := range claims {
		if p := claimPrefix(want, c, foreign); p != nil {
			out = append(out, *p)
		}
		if p := claimProgram(c); p != nil {
			out = append(out, *p)
		}
		if c.Device != "" && k.Devices.ByName[c.Device] == nil {
			out = append(out, spec.Problem{What: "there is no network device " + c.Device, Next: "ip link show"})
		}
	}
	out = append(out, claimUnreachable(k, want)...)
	out = append(out, claimResolvers(k, claims)...)
	return slices.Compact(append(out, claimLearned(ctx, k, want, claims, foreign)...)), nil
}

// claimUnreachable refuses an unreachable route that would take from the server its
// way to the workstation, which is the default route.
func claimUnreachable(k *host.Host, want *spec.Host) []spec.Problem {
	if !slices.ContainsFunc(want.Routes, func(r spec.Route) bool { return r.Unreachable }) {
		return nil
	}
	workstation := host.Workstation()
	if !workstation.IsValid() || workstation.IsLoopback() {
		return nil
	}
	var out []spec.Problem
	for _, r := range want.Routes {
		otherWay := func(o netlink.Route) bool {
			p := host.ToPrefix(o.Dst)
			return p.Bits() >= r.Dst.Bits() && p.Contains(workstation) && !host.Unreachable(o)
		}
		if r.Unreachable && r.Dst.Contains(workstation) && !slices.ContainsFunc(k.Routes, otherWay) {
			out = append(out, spec.Problem{
				What: fmt.Sprintf("%s is not here and contains the workstation's address %s, which is reached by the default route", r.Dst, workstation),
				Next: "share another subnet",
			})
		}
	}
	return out
}

// occupant is a prefix that somebody else uses, and where.
type occupant struct {
	prefix netip.Prefix
	what   string
}

// occupants are the foreign prefixes of this server, addresses first.
func occupants(k *host.Host, want *spec.Host) ([]occupant, error) {
	var out []occupant
	held, own := adopted(k, want)
	add := func(kind string, p netip.Prefix, dev string) {
		switch {
		case slices.Contains(held, dev):
			own = append(own, p.Masked())
		case p.IsValid() && p.Bits() > 0 && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsMulticast():
			out = append(out, occupant{p.Masked(), strings.TrimSuffix(fmt.Sprintf("%s %s dev %s", kind, p, dev), " dev ")})
		}
	}
	for _, a := range k.Addrs {
		if !k.Ours(a.LinkIndex) {
			add("address", host.ToPrefix(a.IPNet), k.Devices.Name(a.LinkIndex))
		}
	}
	for _, r := range foreignRoutes(k) {
		if by := routingDaemon(r.Protocol); by != "" {
			out = append(out, occupant{host.ToPrefix(r.Dst), fmt.Sprintf("route %s, which a routing daemon (proto %s) learned", routeText(k, r), by)})
			continue
		}
		add("route", host.ToPrefix(r.Dst), k.Devices.Name(r.LinkIndex))
	}
	pools, err := dockerPools(dockerConfig)
	if err != nil {
		return nil, err
	}
	for _, p := range pools {
		if !slices.Contains(own, p) { // docker0's own, where that is held
			add("Docker address pool", p, "")
		}
	}
	return append(out, workstationOccupant(host.Workstation())...), nil
}

// adopted are the bridges of other programs that have, or are to have, their subnets from the
// cluster, and those that they are to have.
func adopted(k *host.Host, want *spec.Host) (bridges []string, subnets []netip.Prefix) {
	bridges = adopt.Noted(k)
	for _, a := range want.Adopted {
		bridges, subnets = append(bridges, a.Link), append(subnets, a.Prefix.Masked())
	}
	return bridges, subnets
}

// workstationOccupant keeps the way back to the workstation.
func workstationOccupant(a netip.Addr) []occupant {
	if !a.IsValid() || a.IsLoopback() {
		return nil
	}
	return []occupant{{netip.PrefixFrom(a, a.BitLen()), "workstation's address " + a.String()}}
}

func claimPrefix(want *spec.Host, c spec.Claim, foreign []occupant) *spec.Problem {
	if !c.Prefix.IsValid() {
		return nil
	}
	i := slices.IndexFunc(foreign, func(o occupant) bool { return o.prefix.Overlaps(c.Prefix) && !within(o.prefix, c.Except) })
	if i < 0 {
		return nil
	}
	return &spec.Problem{What: fmt.Sprintf("%s overlaps the %s", c.Prefix, foreign[i].what), Next: adviseSubnet(want, c, foreign)}
}

// within says whether one of list contains all of p.
func within(p netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
}

// freePrefix looks for a prefix as long as like that nobody here uses.
func freePrefix(like netip.Prefix, foreign []occupant) netip.Prefix {
	if like.Addr().Is6() || like.Bits() < 16 {
		return netip.Prefix{}
	}
	const tens, twelves, sixteens = 23, 14, 25 // how many are tried of each part of RFC 1918
	for i := range tens + twelves + sixteens {
		a := [4]byte{10, byte(20 + 10*i), 4}
		switch {
		case i >= tens+twelves && like.Bits() < 24:
			return netip.Prefix{}
		case i >= tens+twelves:
			a = [4]byte{192, 168, byte(4 + 10*(i-tens-twelves))}
		case i >= tens:
			a = [4]byte{172, byte(18 + i - tens), 4} // Docker begins with 172.17
		}
		p := netip.PrefixFrom(netip.AddrFrom4(a), like.Bits()).Masked()
		if !slices.ContainsFunc(foreign, func(o occupant) bool { return o.prefix.Overlaps(p) }) {
			return p
		}
	}
	return netip.Prefix{}
}

func claimProgram(c spec.Claim) *spec.Problem {
	if c.Program == "" {
		return nil
	}
	if _, err := unit.LookPath(c.Program); err == nil {
		return nil
	}
	from := c.Package
	if from == "" {
		from = c.Program
	}
	return &spec.Problem{What: c.Program + " is not installed", Next: "apt-get install " + from}
}

// distinct are claims in the order of their texts, of those with one text one.
func distinct(claims []spec.Claim) []spec.Claim {
	byText := map[string]spec.Claim{}
	for _, c := range claims {
		byText[c.String()] = c
	}
	var out []spec.Claim
	for _, text := range slices.Sorted(maps.Keys(byText)) {
		out = append(out, byText[text])
	}
	return out
}

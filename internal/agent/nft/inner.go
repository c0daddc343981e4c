//go:build linux

package nft

import (
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// innerObjects close VXLAN tunnels that run inside one of our WireGuard devices to
// everything that does not come out of it. The kernel's VXLAN socket takes in
// frames for its VNI on any address (linux 6.18, the walk l2): without this,
// anybody in the underlay could write into an encrypted segment.
func innerObjects(want *spec.Host) []object {
	mesh := map[string]bool{}
	for _, l := range want.Links {
		mesh[l.Name] = l.Kind == spec.WireGuard
	}
	inside := map[netip.Addr]string{}
	for _, a := range want.Addrs {
		if mesh[a.Link] {
			inside[a.Prefix.Addr()] = a.Link
		}
	}
	var out []object
	for _, l := range want.Links {
		if l.Kind != spec.VXLAN || l.Tunnel == nil || inside[l.Tunnel.Local] == "" {
			continue
		}
		o := object{tag: guardTag(l.Network, l.Name), network: l.Network, guards: l.Name}
		vni := []byte{byte(l.Tunnel.VNI >> 16), byte(l.Tunnel.VNI >> 8), byte(l.Tunnel.VNI)}
		o.add(inputChain, rule(iif(expr.CmpOpNeq, inside[l.Tunnel.Local]), dports(unix.IPPROTO_UDP, l.Tunnel.Port, l.Tunnel.Port),
			field(transportLayer, vniAt, expr.CmpOpEq, vni), drop()))
		out = append(out, o)
	}
	return out
}

// vniAt is where the VNI stands behind the UDP header and VXLAN's flags (RFC 7348 §5).
const vniAt = 12

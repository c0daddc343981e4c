package segment

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
)

// A container that flock attached is in its network's DNS by its own name, whatever its
// DHCP client says: with a fixed address at once, otherwise as soon as it has a lease.

// NameAttached gives the containers of all servers their names. Wide says of a network that it
// is one segment on all of them.
func NameAttached(b *ground.Builder, wide func(n *state.Network) bool) {
	segments, own := map[string][]Attached{}, map[string][]Attached{}
	for _, server := range b.Cluster.ServerNames() {
		for _, a := range b.Out.Hosts[server].Attached {
			if n := b.Cluster.Networks[a.Network]; n != nil && wide(n) {
				segments[a.Network] = append(segments[a.Network], Attached{Server: server, Attachment: a})
			} else {
				own[server+" "+a.Network] = append(own[server+" "+a.Network], Attached{Server: server, Attachment: a})
			}
		}
	}
	if len(segments)+len(own) == 0 {
		return
	}
	noted, zones := map[string]bool{}, map[netip.Addr]map[string]string{}
	for _, server := range b.Cluster.ServerNames() {
		h := b.Out.Hosts[server]
		for i := range h.DHCPs {
			d := &h.DHCPs[i]
			list := slices.Concat(segments[d.Network], own[server+" "+d.Network])
			of := d.Network
			if of == SubnetNetwork {
				of = ground.OwnSubnet(server)
			}
			owner := map[string]string{}
			if d.Zone != nil { // one that all of its bridges have
				first := slices.MinFunc(append(d.Listen[:1:1], d.Peers...), netip.Addr.Compare)
				if zones[first] == nil {
					zones[first] = owner
				}
				owner = zones[first]
			}
			for _, text := range Name(d, list, owner) {
				if !noted[of+text] {
					b.Note(of, "%s", text)
				}
				noted[of+text] = true
			}
		}
	}
}

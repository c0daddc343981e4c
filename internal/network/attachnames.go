package network

import (
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/segment"
)

// A container that flock attached is in its network's DNS by its own name, whatever its
// DHCP client says: with a fixed address at once, otherwise as soon as it has a lease.

// nameAttached gives the containers of all servers their names.
func (b *builder) nameAttached() {
	segments, own := map[string][]segment.Attached{}, map[string][]segment.Attached{}
	for _, server := range b.Cluster.ServerNames() {
		for _, a := range b.Out.Hosts[server].Attached {
			if n := b.Cluster.Networks[a.Network]; n != nil && meaning(n).segment {
				segments[a.Network] = append(segments[a.Network], segment.Attached{Server: server, Attachment: a})
			} else {
				own[server+" "+a.Network] = append(own[server+" "+a.Network], segment.Attached{Server: server, Attachment: a})
			}
		}
	}
	if len(segments)+len(own) == 0 {
		return
	}
	noted := map[string]bool{}
	for _, server := range b.Cluster.ServerNames() {
		h := b.Out.Hosts[server]
		for i := range h.DHCPs {
			d := &h.DHCPs[i]
			list := slices.Concat(segments[d.Network], own[server+" "+d.Network])
			of := d.Network
			if of == segment.SubnetNetwork {
				of = ground.OwnSubnet(server)
			}
			for _, text := range segment.Name(d, list) {
				if !noted[of+text] {
					b.Note(of, "%s", text)
				}
				noted[of+text] = true
			}
		}
	}
}

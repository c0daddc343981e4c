package ground

import "net/netip"

// An Overlay is a device of one of our own networks with addresses on a server: members of
// other networks, and BGP sessions, may use these.
type Overlay struct {
	Network, Dev string
	Addrs        []netip.Addr
	Within       []netip.Prefix
}

// OtherThan is the overlay's address of the other family than a; invalid: it has none.
func (o *Overlay) OtherThan(a netip.Addr) netip.Addr {
	for _, other := range o.Addrs {
		if other.Is6() != a.Is6() {
			return other
		}
	}
	return netip.Addr{}
}

package state

import "net/netip"

// Identity tells machines apart. A machine id alone does not: a cloned disk has the same
// one.
type Identity struct {
	Machine string
	Addr    netip.Addr // of the interface of the default route; without one, of any
}

// Identities are what f tells its machine apart by; none of a machine without an id, or of
// a nil f.
func (f *Facts) Identities() []Identity {
	if f == nil || f.Machine == "" {
		return nil
	}
	var out []Identity
	for _, i := range f.Interfaces {
		routed := f.Default4 + f.Default6 // docker0 has the same address on every machine
		if routed != "" && i.Name != f.Default4 && i.Name != f.Default6 {
			continue
		}
		for _, p := range i.Addrs {
			out = append(out, Identity{f.Machine, p.Addr()})
		}
	}
	return out
}

//go:build linux

package host

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// Cover knows the routes that an IPv6 next hop may lie below while routes change: by
// destination the device, "" where there are several.
type Cover struct {
	devs map[netip.Prefix]string
	bits [129]bool // lengths that occur
}

// Covers gathers the main table's routes and those that are wanted.
func Covers(k *Host, want *spec.Host) *Cover {
	c := &Cover{devs: map[netip.Prefix]string{}}
	for _, r := range k.Routes {
		if r.Table == unix.RT_TABLE_MAIN {
			c.add(ToPrefix(r.Dst), k.Devices.Name(r.LinkIndex))
		}
	}
	for _, r := range want.Routes {
		c.add(r.Dst, r.Dev)
	}
	return c
}

func (c *Cover) add(p netip.Prefix, dev string) {
	if !p.Addr().Is6() || p.Bits() == 0 {
		return
	}
	if other, ok := c.devs[p]; ok && other != dev {
		dev = ""
	}
	c.devs[p], c.bits[p.Bits()] = dev, true
}

// Elsewhere says whether a route by another device than dev may lead to a.
func (c *Cover) Elsewhere(a netip.Addr, dev string) bool {
	for bits, occurs := range c.bits {
		if !occurs {
			continue
		}
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if other, ok := c.devs[p]; ok && other != dev {
			return true
		}
	}
	return false
}

//go:build linux

package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Leases outlive the dnsmasq that gave them: when another server hands out the
// addresses of a network from now on, or an undo brings a dnsmasq back, it has to
// know which addresses and names are in use. It hands out in sequence and without
// a ping: the first one it gave would be somebody's.

// leaving returns the lease files of the networks that want no longer serves
// here, by network.
func (s *services) leaving(want *spec.Host) (map[string]string, error) {
	networks, err := s.dhcpNetworks()
	if err != nil {
		return nil, err
	}
	var out map[string]string
	for _, network := range networks {
		if slices.ContainsFunc(want.DHCPs, func(d spec.DHCP) bool { return d.Network == network }) {
			continue
		}
		text, err := readIfThere(s.process(leaf, network).leases)
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[network] = text
	}
	return out, nil
}

// inherit remembers leases until a dnsmasq of their network is started.
func (s *services) inherit(network, leases string) {
	if leases == "" {
		return
	}
	if s.inherited == nil {
		s.inherited = map[string]string{}
	}
	s.inherited[network] = leases
}

// orphans notes the networks that want serves here and that had members here
// before, but another server for their addresses: should nobody hand its leases
// over, they have to be found. A nil before is a server that forgot what it was.
func (s *services) orphans(before, want *spec.Host) {
	s.orphaned = map[string]bool{}
	if before == nil {
		return
	}
	for _, d := range want.DHCPs {
		member := func(l spec.Link) bool { return l.Network == d.Network }
		served := func(old spec.DHCP) bool { return old.Network == d.Network }
		s.orphaned[d.Network] = slices.ContainsFunc(before.Links, member) && !slices.ContainsFunc(before.DHCPs, served)
	}
}

// hand gives d's leaf the leases that it inherits, or of an orphaned network those
// that it finds. One that has leases of its own keeps those.
func (s *services) hand(ctx context.Context, d spec.DHCP) error {
	path := s.process(leaf, d.Network).leases
	if exists(path) {
		return nil
	}
	text := leasesIn(s.inherited[d.Network], d.Ranges)
	own := slices.IndexFunc(d.Listen, netip.Addr.Is4)
	if text == "" && s.orphaned[d.Network] && own >= 0 {
		found, err := survey(ctx, d.Bridge, d.Listen[own], d.Ranges)
		if err != nil {
			return err
		}
		text = leasesIn(found, d.Ranges)
	}
	if text == "" {
		return nil
	}
	if _, err := writeIfOther(path, text, 0o644); err != nil {
		return fmt.Errorf("take over leases: %w", err)
	}
	return nil
}

// leasesIn keeps the lines of a dnsmasq lease file that are IPv4 leases in one of
// the ranges: expiry (s since 1970), MAC, address, name, client id. What another
// server sent is not copied unread.
func leasesIn(text string, ranges []spec.Range) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 5 {
			continue
		}
		_, expiryErr := strconv.ParseUint(f[0], 10, 64)
		_, macErr := net.ParseMAC(f[1])
		addr, addrErr := netip.ParseAddr(f[2])
		if expiryErr != nil || macErr != nil || addrErr != nil {
			continue
		}
		if slices.ContainsFunc(ranges, func(r spec.Range) bool { return addr.Is4() && inRange(addr, r) }) {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

func inRange(a netip.Addr, r spec.Range) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

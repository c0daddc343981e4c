//go:build linux

package dhcp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Leases outlive the dnsmasq that gave them: when another server hands out the
// addresses of a network from now on, or an undo brings a dnsmasq back, it has to
// know which addresses and names are in use. It hands out in sequence and without
// a ping: the first one it gave would be somebody's.

// Leaving returns the lease files of the networks that want no longer serves
// here, by network: of those that Observe found, or of what is there where it was not called.
func (s *Server) Leaving(want *spec.Host) (map[string]string, error) {
	networks := s.there
	if networks == nil {
		var err error
		if networks, err = s.networks(); err != nil {
			return nil, err
		}
	}
	var out map[string]string
	for _, network := range networks {
		if slices.ContainsFunc(want.DHCPs, func(d spec.DHCP) bool { return d.Network == network }) {
			continue
		}
		text, err := sysfile.ReadIfThere(s.process(leaf, network).Leases)
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

// PoolUses counts the leases in what the server's dnsmasqs hand out at this moment.
func (s *Server) PoolUses(want *spec.Host, now time.Time) ([]spec.PoolUse, error) {
	var out []spec.PoolUse
	for _, d := range want.DHCPs {
		was, err := s.before(d.Network)
		if err != nil {
			return nil, err
		}
		text, err := sysfile.ReadIfThere(s.process(leaf, d.Network).Leases)
		if err != nil {
			return nil, err
		}
		use := spec.PoolUse{Network: d.Network}
		ranges := spec.Without(was.Ranges, func(r spec.Range) bool { return !isRange4(r) })
		for _, r := range ranges {
			first, last := r.First.As4(), r.Last.As4()
			use.Size += int(binary.BigEndian.Uint32(last[:])-binary.BigEndian.Uint32(first[:])) + 1
		}
		for line := range strings.Lines(names.LeasesIn(text, ranges)) {
			expiry, _, _ := strings.Cut(line, " ")
			if until, err := strconv.ParseInt(expiry, 10, 64); err == nil && (until == 0 || until > now.Unix()) {
				use.Used++
			}
		}
		if use.Size > 0 {
			out = append(out, use)
		}
	}
	return out, nil
}

// Leased are the IPv4 addresses that the server's dnsmasqs have dealt out at this moment, by MAC.
func (s *Server) Leased(now time.Time) (map[string][]netip.Addr, error) {
	networks, err := s.networks()
	if err != nil {
		return nil, err
	}
	out := map[string][]netip.Addr{}
	for _, network := range networks {
		text, err := sysfile.ReadIfThere(s.process(leaf, network).Leases)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) != 5 {
				continue
			}
			until, err := strconv.ParseInt(f[0], 10, 64)
			if a, wrong := netip.ParseAddr(f[2]); err == nil && wrong == nil && a.Is4() && (until == 0 || until > now.Unix()) {
				out[f[1]] = append(out[f[1]], a)
			}
		}
	}
	return out, nil
}

// Inherit remembers leases until a dnsmasq of their network is started.
func (s *Server) Inherit(network, leases string) {
	if leases == "" {
		return
	}
	if s.inherited == nil {
		s.inherited = map[string]string{}
	}
	s.inherited[network] = leases
}

// hand gives d's leaf, which is about to be started, the leases that it lacks. Those
// that it inherits come first. For what it has none for, and did not hand out before,
// it asks the segment: an empty file says nothing about the containers that are
// there, whatever emptied it. Only where the workstation knows that no server ever
// handed out there, nobody is asked. taken says that somebody else's became its own.
func (s *Server) hand(ctx context.Context, d spec.DHCP, before []spec.Range) (taken bool, err error) {
	path := s.process(leaf, d.Network).Leases
	have, err := sysfile.ReadIfThere(path)
	if err != nil {
		return false, err
	}
	own := slices.IndexFunc(d.Listen, netip.Addr.Is4)
	unknown := newIn(d.Ranges, before)
	if names.LeasesIn(have, d.Ranges) == "" {
		have, unknown = names.LeasesIn(s.inherited[d.Network], d.Ranges), nil
		if taken = have != ""; !taken {
			unknown = d.Ranges
		}
	}
	if own >= 0 && !slices.Contains(s.Untouched, d.Network) && slices.ContainsFunc(unknown, isRange4) {
		found, err := arp.Survey(ctx, d.Bridge, d.Listen[own], beyond(d, d.Listen[own]), unknown)
		if err != nil {
			return false, err
		}
		if !taken {
			if have, err = sysfile.ReadIfThere(path); err != nil { // it may have grown meanwhile
				return false, err
			}
		}
		taken = taken || found != ""
		have = found + have // IPv4 comes before IPv6 in the file, as dnsmasq writes it
	}
	if !taken {
		return false, nil
	}
	if _, err := sysfile.WriteIfOther(path, have, 0o644); err != nil {
		return false, fmt.Errorf("take over leases: %w", err)
	}
	return true, nil
}

// beyond are the addresses of other servers on d's segment, own's family alone.
func beyond(d spec.DHCP, own netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, h := range d.Hosts {
		there := func(r spec.Range) bool { return r.Subnet.Contains(h.Addr) }
		if h.Addr != own && h.Addr.Is4() && slices.ContainsFunc(d.Ranges, there) {
			out = append(out, h.Addr)
		}
	}
	return out
}

func isRange4(r spec.Range) bool { return r.First.Is4() }

// newIn are the addresses of ranges that none of before has, as ranges.
func newIn(ranges, before []spec.Range) []spec.Range {
	var out []spec.Range
	for _, r := range ranges {
		rest := []spec.Range{r}
		for _, b := range before {
			var cut []spec.Range
			for _, r := range rest {
				cut = append(cut, beside(r, b)...)
			}
			rest = cut
		}
		out = append(out, rest...)
	}
	return out
}

// beside is what of r lies below and above b.
func beside(r, b spec.Range) []spec.Range {
	if r.Last.Less(b.First) || b.Last.Less(r.First) {
		return []spec.Range{r}
	}
	var out []spec.Range
	if r.First.Less(b.First) {
		out = append(out, spec.Range{First: r.First, Last: b.First.Prev(), Subnet: r.Subnet})
	}
	if b.Last.Less(r.Last) {
		out = append(out, spec.Range{First: b.Last.Next(), Last: r.Last, Subnet: r.Subnet})
	}
	return out
}

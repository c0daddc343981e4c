//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// A name belongs to the lease that had it first. By itself dnsmasq (2.90, lease.c,
// lease_set_hostname) takes a name from the lease that has it for the one that asks
// last, unless the first one has it from a hosts file. So what a lease is called is
// written down in such a file, by the script that dnsmasq runs, as soon as it is called
// so; and by the agent before it starts a dnsmasq, from the leases.

// pinNames makes the directory of names what d's leases say.
func (s *services) pinNames(d spec.DHCP) error {
	p := s.process(leaf, d.Network)
	text, err := sysfile.ReadIfThere(p.leases)
	if err != nil {
		return err
	}
	if err := sysfile.MakeDir(p.names); err != nil {
		return fmt.Errorf("keep names of %s: %w", d.Network, err)
	}
	stale, err := sysfile.Names(p.names)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep names of %s: %w", d.Network, err)
	}
	conf := s.leafConf(d)
	for addr, name := range namesOf(text, d) {
		if _, err := sysfile.WriteIfOther(filepath.Join(p.names, addr), conf.Pin(addr, name), 0o644); err != nil {
			return err
		}
		stale = slices.DeleteFunc(stale, func(n string) bool { return n == addr })
	}
	for _, n := range stale {
		if err := sysfile.Remove(filepath.Join(p.names, n)); err != nil {
			return err
		}
	}
	return nil
}

// namesOf are the names in the text of a lease file by IPv4 address, those left out that
// nobody gets. Of two leases with one name the first has it.
func namesOf(text string, d spec.DHCP) map[string]string {
	out, taken := map[string]string{}, map[string]bool{}
	for _, c := range leasesOf(text, d, nil) {
		if !taken[c.name] {
			taken[c.name] = true
			out[c.addr] = c.name
		}
	}
	return out
}

// leasesOf are the leases of IPv4 in the text of a lease file whose names are not
// somebody else's from the first. What has none has that by which its MAC is known.
func leasesOf(text string, d spec.DHCP, known map[string]string) (out []*claim) {
	reserved := reservedNames()
	for _, h := range d.Hosts {
		reserved = append(reserved, strings.ToLower(h.Name))
	}
	for line := range strings.Lines(text) {
		if c := readLease(strings.Fields(line), known); c != nil && !slices.Contains(reserved, c.name) {
			out = append(out, c)
		}
	}
	return out
}

// isHostName says whether dnsmasq takes text for the name of a host (legal_hostname);
// in place of none stands a star.
func isHostName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return text != "" && len(text) <= 63 && text[0] != '-' && strings.Trim(text, letters) == ""
}

//go:build linux

package dhcp

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// A name belongs to the lease that had it first. By itself dnsmasq (2.90, lease.c,
// lease_set_hostname) takes a name from the lease that has it for the one that asks
// last, unless the first one has it from a hosts file. So what a lease is called is
// written down in such a file, by the script that dnsmasq runs, as soon as it is called
// so; and by the agent before it starts a dnsmasq, from the leases.

// pinNames makes the directory of names what d's leases say.
func (s *Server) pinNames(d spec.DHCP) error {
	p := s.process(leaf, d.Network)
	text, err := sysfile.ReadIfThere(p.Leases)
	if err != nil {
		return err
	}
	if err := sysfile.MakeDir(p.Names); err != nil {
		return fmt.Errorf("keep names of %s: %w", d.Network, err)
	}
	stale, err := sysfile.Names(p.Names)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep names of %s: %w", d.Network, err)
	}
	conf := s.has.LeafConf(&d)
	for addr, name := range names.ByAddress(text, d) {
		if _, err := sysfile.WriteIfOther(filepath.Join(p.Names, addr), conf.Pin(addr, name), 0o644); err != nil {
			return err
		}
		stale = spec.Without(stale, func(n string) bool { return n == addr })
	}
	stale = slices.DeleteFunc(stale, func(n string) bool { return n == toldNames })
	for _, n := range stale {
		if err := sysfile.Remove(filepath.Join(p.Names, n)); err != nil {
			return err
		}
	}
	return nil
}

// toldNames is the file, beside those of leases, with the names of containers that never ask.
const toldNames = "told"

// Tell has network's DNS know the names of addresses, and none of before. What no host can
// have, or a server has, is left out. Where network has no DNS, nothing is done.
func (s *Server) Tell(d spec.DHCP, called map[string][]string) error {
	dir := s.process(leaf, d.Network).Names
	if !sysfile.Exists(dir) {
		return nil
	}
	conf, text := s.has.LeafConf(&d), ""
	for _, addr := range slices.Sorted(maps.Keys(called)) {
		for _, name := range called[addr] {
			if names.CanHave(name, d) {
				text += conf.Pin(addr, name)
			}
		}
	}
	_, err := sysfile.WriteIfOther(filepath.Join(dir, toldNames), text, 0o644)
	return err
}

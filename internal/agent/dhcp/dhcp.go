//go:build linux

package dhcp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// One network's DHCP is one dnsmasq, or two where other servers know more names
// of the domain: a leaf, with the leases, and a front, whose questions a process of
// ours takes to all leaves (answer.go). They are not enabled: the boot unit starts them when their bridge is there.

// Observe fills in have.DHCPs: what stands, and of what does not stand as want has it the
// copy in its file.
func (s *Server) Observe(ctx context.Context, want, have *spec.Host) error {
	networks, err := s.networks()
	if s.there = networks; err != nil {
		return err
	}
	for _, network := range networks {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := slices.IndexFunc(want.DHCPs, func(d spec.DHCP) bool { return d.Network == network })
		if at >= 0 {
			ok, err := s.allStand(want.DHCPs[at])
			if err != nil {
				return err
			}
			if ok {
				have.DHCPs = append(have.DHCPs, want.DHCPs[at])
				continue
			}
		}
		text, err := sysfile.ReadIfThere(s.process(leaf, network).Hosts)
		if err != nil {
			return err
		}
		d := spec.DHCP{}
		// A damaged copy is one more difference from what is wanted.
		if wire.Unmarshal([]byte(sysfile.Spec(text)), &d) != nil || d.Network != network {
			d = spec.DHCP{Network: network}
		}
		if at >= 0 && d.String() == want.DHCPs[at].String() {
			continue // its text is right and yet it does not stand: as good as not there
		}
		have.DHCPs = append(have.DHCPs, d)
	}
	return nil
}

// networks lists the networks of this cluster that have a file or a unit of
// a dnsmasq here, whichever: a removal that failed may have left any of them.
func (s *Server) networks() ([]string, error) {
	found := map[string]bool{}
	for _, dir := range []string{s.has.Dir, s.has.Run} {
		names, err := sysfile.Names(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			if network := networkOf(name); network != "" {
				found[network] = true
			}
		}
	}
	units, err := s.units.Ours()
	if err != nil {
		return nil, err
	}
	for _, path := range units {
		mark, err := sysfile.Mark(path)
		if err != nil {
			return nil, err
		}
		_, network, _ := strings.Cut(mark, "/")
		if slices.Contains(s.Daemons(network), s.units.DaemonOf(path)) {
			found[network] = true
		}
	}
	networks := []string{}
	for network := range found {
		networks = append(networks, network)
	}
	slices.Sort(networks)
	return networks, nil
}

// allStand says whether d's files are what would be written now and its
// processes run with them.
func (s *Server) allStand(d spec.DHCP) (bool, error) {
	plans, err := s.plan(d)
	if err != nil {
		return false, err
	}
	for _, p := range plans {
		if ok, err := s.stands(p, d.Bridge); err != nil || !ok {
			return false, err
		}
	}
	if len(plans) == 1 {
		return !sysfile.Exists(s.process(front, d.Network).Conf), nil
	}
	return s.namesStand(d), nil
}

// Set makes d stand on its bridge, which must be there. Only what differs is written and only what has to is
// started anew: new names are taken up by a running dnsmasq.
func (s *Server) Set(ctx context.Context, d spec.DHCP) error {
	plans, err := s.plan(d)
	if err != nil {
		return err
	}
	was, err := s.before(d.Network)
	if err != nil {
		return err
	}
	if len(plans) == 1 {
		if err := s.removeProcess(ctx, s.process(front, d.Network)); err != nil {
			return err
		}
	}
	for _, p := range plans {
		if err := s.blame(d, s.start(ctx, p, d)); err != nil {
			return fmt.Errorf("set DHCP of %s: %w", d.Network, err)
		}
	}
	if err := s.runNames(ctx, d, len(was.Listen) > 0 && was.Listen[0] != d.Listen[0]); err != nil {
		return fmt.Errorf("set DHCP of %s: %w", d.Network, err)
	}
	return nil
}

// Remove removes the dnsmasq of network with all its files, leases included.
func (s *Server) Remove(ctx context.Context, network string) error {
	leases, err := sysfile.ReadIfThere(s.process(leaf, network).Leases)
	if err != nil {
		return fmt.Errorf("remove DHCP of %s: %w", network, err)
	}
	s.Inherit(network, leases) // the change may be undone
	errs := []error{s.runNames(ctx, spec.DHCP{Network: network}, false)}
	for _, role := range [...]written.Role{front, leaf} {
		errs = append(errs, s.removeProcess(ctx, s.process(role, network)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove DHCP of %s: %w", network, err)
	}
	return nil
}

// stands compares files, and what the process was started with.
func (s *Server) stands(p planned, bridge string) (bool, error) {
	files := maps.Clone(p.Soft)
	files[p.Conf], files[p.Record] = p.ConfText, p.recordText(bridge)
	if p.Leaf {
		files[p.Leased] = p.LeasedText
	}
	if s.units.HasSystemd() {
		files[s.units.Path(s.units.Name(p.Daemon))] = p.UnitText
	}
	for path, want := range files {
		have, err := sysfile.ReadIfThere(path)
		if err != nil || have != want {
			return false, err
		}
	}
	return p.pid() != 0, nil
}

// start brings p's process to its files: not at all where it stands, by a signal
// where that is enough, otherwise by starting it anew.
func (s *Server) start(ctx context.Context, p planned, d spec.DHCP) error {
	bridge := d.Bridge
	if ok, err := s.stands(p, bridge); err != nil || ok {
		return err
	}
	if _, err := net.InterfaceByName(bridge); err != nil {
		return fmt.Errorf("start dnsmasq on %s: %w", bridge, err)
	}
	was, err := s.before(d.Network)
	if err != nil {
		return err
	}
	before, err := sysfile.ReadIfThere(p.Record)
	if err != nil {
		return err
	}
	// Whatever stops us from here on, the next look sees that p does not stand.
	if err := sysfile.Remove(p.Record); err != nil {
		return err
	}
	newConf, newUnit, err := s.write(ctx, p)
	if err != nil {
		return err
	}
	record := p.recordText(bridge)
	if !newConf && !newUnit && startedAs(before) == startedAs(record) && p.pid() != 0 {
		err = p.signal(unix.SIGHUP)
	} else {
		err = s.anew(ctx, p, d, was.Ranges)
	}
	if err != nil {
		return err
	}
	_, err = sysfile.WriteIfOther(p.Record, record, 0o644)
	return err
}

// anew starts p's process anew. A leaf has its leases by then.
func (s *Server) anew(ctx context.Context, p planned, d spec.DHCP, before []spec.Range) error {
	for _, path := range []string{p.PIDFile, p.Leases} { // dnsmasq's own, which it would not open
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			if err := sysfile.Remove(path); err != nil {
				return err
			}
		}
	}
	taken := false
	if p.Leaf {
		var err error
		if taken, err = s.hand(ctx, d, before); err != nil {
			return err
		}
		if err := s.pinNames(d); err != nil {
			return err
		}
	}
	var err error
	if s.units.HasSystemd() {
		err = unit.Restart(ctx, s.units.Name(p.Daemon))
	} else {
		err = p.restart(ctx)
	}
	if err == nil && taken && d.Floats {
		_ = arp.Announce(d.Bridge, d.DNS) // who does not hear it finds out within a minute
	}
	return err
}

// before is what network's leaf was made from so far, by its files.
func (s *Server) before(network string) (d spec.DHCP, err error) {
	text, err := sysfile.ReadIfThere(s.process(leaf, network).Hosts)
	if err == nil && wire.Unmarshal([]byte(sysfile.Spec(text)), &d) != nil {
		d = spec.DHCP{} // damaged: nothing is known
	}
	return d, err
}

// write puts p's files in place and says which of those changed that a running
// process does not read again. dnsmasq reads as nobody: they are no secrets.
func (s *Server) write(ctx context.Context, p planned) (newConf, newUnit bool, err error) {
	if err := sysfile.MakeDir(filepath.Dir(p.PIDFile)); err != nil {
		return false, false, err
	}
	for path, text := range p.Soft {
		if _, err := sysfile.WriteIfOther(path, text, 0o644); err != nil {
			return false, false, err
		}
	}
	if p.Leaf {
		if _, err := sysfile.WriteIfOther(p.Leased, p.LeasedText, 0o755); err != nil {
			return false, false, err
		}
	}
	if newConf, err = sysfile.WriteIfOther(p.Conf, p.ConfText, 0o644); err != nil {
		return false, false, err
	}
	if s.units.HasSystemd() {
		newUnit, err = s.units.Put(ctx, p.Daemon, p.UnitText)
	}
	return newConf, newUnit, err
}

// recordText says what a running process was started with: its files, its bridge
// and, on a second line, what it was told to read again. dnsmasq binds its DHCP
// socket to the bridge's index: a bridge of the same name made anew is another.
func (p planned) recordText(bridge string) string {
	index := indexOf(bridge)
	soft := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(p.Soft)) {
		fmt.Fprintf(soft, "%d %s", len(p.Soft[path]), p.Soft[path])
	}
	return fmt.Sprintf("%x %d\n%x\n", sha256.Sum256([]byte(p.ConfText+p.UnitText)), index, soft.Sum(nil))
}

// indexOf is the index of a device, 0 where there is none. net.InterfaceByName reads all
// devices for it.
func indexOf(device string) uint32 {
	req, err := unix.NewIfreq(device)
	if err != nil {
		return 0
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }() // only asked
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req) != nil {
		return 0
	}
	return req.Uint32()
}

// startedAs is the part of a record that holds for a process's whole life.
func startedAs(record string) string {
	first, _, _ := strings.Cut(record, "\n")
	return first
}

func (s *Server) removeProcess(ctx context.Context, p process) error {
	if err := s.units.Drop(ctx, p.Daemon); err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil {
		return err
	}
	if err := removeNames(ctx, p.Names); err != nil {
		return fmt.Errorf("remove names: %w", err)
	}
	return sysfile.Remove(p.Conf, p.Hosts, p.Known, p.Servers, p.Leases, p.Leased, p.PIDFile, p.Record)
}

// removeNames removes a directory of names. A script of the dnsmasq that ended may still run,
// and write one more.
func removeNames(ctx context.Context, dir string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries := 50; ; tries-- {
		err := os.RemoveAll(dir)
		if !errors.Is(err, unix.ENOTEMPTY) || tries == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

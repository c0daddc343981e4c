//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

const (
	tunPath = "/dev/net/tun"
	// uapiDir is where wg(8) looks for the sockets of userspace devices.
	uapiDir = "/var/run/wireguard"
)

// newWireGuard makes a device, still down, with its key and port: the kernel's
// where it has WireGuard, otherwise a TUN device with a process behind it.
func (k *Kernel) newWireGuard(ctx context.Context, l spec.Link) error {
	if _, err := k.services.privateKey(l.Name, l.Key); err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	err := k.newKernelLink(l)
	if errors.Is(err, unix.EOPNOTSUPP) && sysfile.Exists(tunPath) {
		if err = k.newTUN(l); err == nil {
			err = k.services.units.Start(ctx, k.services.wgDaemon(l.Name, l.Network))
		}
	}
	if err != nil {
		return err
	}
	return k.setDevice(l, spec.Link{})
}

// newTUN makes a TUN device that outlives its process: addresses and routes stay
// where the process is started anew. It lasts from the moment on that it carries
// our mark; until then it goes with this process.
func (k *Kernel) newTUN(l spec.Link) error {
	f, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	err = k.setupTUN(int(f.Fd()), l)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	return k.readDevices()
}

func (k *Kernel) setupTUN(fd int, l spec.Link) error {
	ifr, err := unix.NewIfreq(l.Name)
	if err != nil {
		return err
	}
	const exclusive = 0x8000 // IFF_TUN_EXCL: somebody else's is not taken over
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | exclusive)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	if err := k.readDevices(); err != nil {
		return err
	}
	index, err := k.index(l.Name)
	if err != nil {
		return err
	}
	messages := append([]*nl.NetlinkRequest{aliasMessage(index, spec.Alias(k.cluster, l.Network))}, mtuMessages(index, l)...)
	if err := k.rt.Do(messages...); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// wgDaemon is the process behind a userspace device. The network only names it.
func (s *services) wgDaemon(device, network string) unit.Daemon {
	return unit.Daemon{
		Name: wgStem + device, Mark: s.cluster + "/" + network,
		Description: "WireGuard device " + device + " of flock network " + s.cluster + "/" + network,
		Args:        []string{"agent", "wireguard", device},
	}
}

const wgStem = "wg-"

// mendWireGuard brings a living device to want. A userspace device whose process
// does not answer gets a new one.
func (k *Kernel) mendWireGuard(ctx context.Context, want, have spec.Link) error {
	if k.userspace(want.Name) && have.Key == "" {
		d, err := k.wgDevice(want.Name)
		if err != nil {
			return err
		}
		if d == nil {
			if err := k.services.units.Start(ctx, k.services.wgDaemon(want.Name, want.Network)); err != nil {
				return err
			}
			have = spec.Link{}
		}
	}
	if want.Key == have.Key && want.Port == have.Port {
		return nil
	}
	return k.setDevice(want, have)
}

// stopWireGuard ends the process behind a userspace device.
func (s *services) stopWireGuard(ctx context.Context, device string) error {
	if err := s.units.Stop(ctx, s.wgDaemon(device, "")); err != nil {
		return err
	}
	// It removes its socket itself unless it was killed.
	return errors.Join(sysfile.Remove(filepath.Join(uapiDir, device+".sock")), sysfile.RemoveEmpty(uapiDir))
}

// settleDaemons ends the processes that want has no use for and starts the one that
// looks after names, where there are some.
func (s *services) settleDaemons(ctx context.Context, want *spec.Host) error {
	used := map[string]spec.Link{}
	for _, l := range want.Links {
		used[l.Name] = l
	}
	for _, of := range []struct {
		kind, stem string
		daemon     func(device, network string) unit.Daemon
		stop       func(context.Context, string) error
	}{{spec.WireGuard, wgStem, s.wgDaemon, s.stopWireGuard}, {spec.UDP, udpStem, s.udpDaemon, s.stopUDP}} {
		devices, err := s.units.Devices(of.stem)
		if err != nil {
			return err
		}
		for _, device := range devices {
			l := used[device]
			if l.Kind != of.kind {
				err = of.stop(ctx, device)
			} else {
				err = s.units.Rename(ctx, of.daemon(device, l.Network))
			}
			if err != nil {
				return err
			}
		}
	}
	if want.BGP != nil {
		if err := s.upgradeBGP(ctx); err != nil {
			return err
		}
	}
	return s.settleResolver(ctx, want)
}

// daemonsOf are the daemons that h asks for.
func (s *services) daemonsOf(h *spec.Host) []unit.Daemon {
	out := []unit.Daemon{s.resolver(), s.bgpDaemon()}
	for _, d := range h.DHCPs {
		if len(d.Peers) > 0 {
			out = append(out, s.namesDaemon(d.Network))
		}
	}
	for _, l := range h.Links {
		switch l.Kind {
		case spec.WireGuard:
			out = append(out, s.wgDaemon(l.Name, l.Network))
		case spec.UDP:
			out = append(out, s.udpDaemon(l.Name, l.Network))
		}
	}
	return out
}

// wgSupport is what a WireGuard device would be here. It asks no module to be
// loaded: servers without such a network are asked too.
func (k *Kernel) wgSupport(release string) (string, error) {
	for _, l := range k.devices.byName {
		if _, ours := k.network(l); ours && k.kindOf(l) == spec.WireGuard {
			if k.userspace(l.Attrs().Name) {
				return spec.UserspaceDevice, nil
			}
			return spec.KernelDevice, nil
		}
	}
	if sysfile.Exists("/sys/module/wireguard") {
		return spec.KernelDevice, nil
	}
	dir := filepath.Join("/lib/modules", release)
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("list kernel modules: %w", err)
		}
		if bytes.Contains(data, []byte("/wireguard.ko")) {
			return spec.KernelDevice, nil
		}
	}
	if sysfile.Exists(tunPath) {
		return spec.UserspaceDevice, nil
	}
	return "", nil
}

// wgHere is wgSupport on the running kernel.
func (k *Kernel) wgHere() (string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", fmt.Errorf("read kernel name: %w", err)
	}
	return k.wgSupport(unix.ByteSliceToString(uts.Release[:]))
}

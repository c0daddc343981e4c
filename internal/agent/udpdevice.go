//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/control"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/udptun"
)

// A UDP device is a TUN device that outlives its process, as WireGuard in userspace
// is: addresses and routes stay while the process is started anew.

const udpStem = "udp-"

// udpDaemon is the process behind a UDP device. The network only names it.
func (s *services) udpDaemon(device, network string) unit.Daemon {
	return unit.Daemon{
		Name: udpStem + device, Mark: s.cluster + "/" + network,
		Description: "UDP device " + device + " of flock network " + s.cluster + "/" + network,
		Args:        []string{"agent", "udp", device},
	}
}

func (s *services) udpSocket(device string) string {
	return filepath.Join(s.runDir(), udpStem+device+".sock")
}

// runsUDP says whether the process behind a TUN device of ours is a UDP device's: one
// that was killed leaves its unit, or its pid file.
func (s *services) runsUDP(device string) bool {
	d := s.udpDaemon(device, "")
	return sysfile.Exists(s.units.PIDFile(d)) || s.units.Installed(d.Name)
}

func (s *services) stopUDP(ctx context.Context, device string) error {
	if err := s.units.Stop(ctx, s.udpDaemon(device, "")); err != nil {
		return err
	}
	return sysfile.Remove(s.udpSocket(device)) // it does so itself unless it was killed
}

// newUDP makes a device, still down and without members.
func (k *Kernel) newUDP(ctx context.Context, l spec.Link) error {
	if err := k.newTUN(l); err != nil {
		return err
	}
	if err := k.services.units.Start(ctx, k.services.udpDaemon(l.Name, l.Network)); err != nil {
		return err
	}
	return k.setUDP(ctx, l, nil)
}

// mendUDP brings a living device to want, its members aside. One whose process does
// not answer gets a new one.
func (k *Kernel) mendUDP(ctx context.Context, want, have spec.Link) error {
	if have.Tunnel != nil && *have.Tunnel == *want.Tunnel {
		return nil
	}
	config, _, err := udptun.Get(ctx, k.services.udpSocket(want.Name))
	if err != nil {
		if err := k.services.units.Start(ctx, k.services.udpDaemon(want.Name, want.Network)); err != nil {
			return err
		}
	}
	return k.setUDP(ctx, want, config.Members)
}

func (k *Kernel) setUDP(ctx context.Context, l spec.Link, members []udptun.Member) error {
	config := udptun.Config{Local: l.Tunnel.Local, Port: l.Tunnel.Port, Members: members}
	config.Members = slices.DeleteFunc(slices.Clone(members), func(m udptun.Member) bool { return m.Addr.Is6() != config.Local.Is6() })
	if err := udptun.Set(ctx, k.services.udpSocket(l.Name), config); err != nil {
		return fmt.Errorf("set up link %s: %w", l.Name, err)
	}
	return nil
}

// setMembers gives the devices that ops are about the members that want has, all of
// a device's in one exchange. Packets of those that stay are not touched.
func (k *Kernel) setMembers(ctx context.Context, want *spec.Host, ops []Op) error {
	done := map[string]bool{}
	for _, op := range ops {
		m, ok := op.Want.(spec.Member)
		if !ok {
			m = op.Have.(spec.Member)
		}
		at := slices.IndexFunc(want.Links, func(l spec.Link) bool { return l.Name == m.Link && l.Kind == spec.UDP })
		if done[m.Link] || at < 0 {
			continue // a device that goes takes its members along
		}
		done[m.Link] = true
		if err := k.setUDP(ctx, want.Links[at], membersOf(want, m.Link)); err != nil {
			return err
		}
	}
	return nil
}

func membersOf(h *spec.Host, link string) []udptun.Member {
	var out []udptun.Member
	for _, m := range h.Members {
		if m.Link == link {
			out = append(out, udptun.Member{Addr: m.Addr, Subnets: m.Subnets})
		}
	}
	return out
}

// observeUDP completes have.Links and fills have.Members with what the processes
// say. One that does not answer leaves its device without address and port, which
// differs from all that is wanted.
func (k *Kernel) observeUDP(ctx context.Context, have *spec.Host) error {
	for i := range have.Links {
		l := &have.Links[i]
		if l.Kind != spec.UDP {
			continue
		}
		l.Tunnel = &spec.Tunnel{}
		config, _, err := udptun.Get(ctx, k.services.udpSocket(l.Name))
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			k.silentPort(k.services.udpDaemon(l.Name, ""), l.Name)
			continue
		}
		l.Tunnel.Local, l.Tunnel.Port = config.Local, config.Port
		for _, m := range config.Members {
			subnets := slices.SortedFunc(slices.Values(m.Subnets), netip.Prefix.Compare)
			have.Members = append(have.Members, spec.Member{Link: l.Name, Addr: m.Addr, Subnets: subnets})
		}
	}
	return nil
}

// UDP is the process behind the TUN device name, which an agent made: it carries its
// packets until it is told to end or the device is gone. A process that was started
// anew takes the last confirmed spec up by itself.
func UDP(ctx context.Context, name string, _ io.Writer) (err error) {
	link, cluster, network, err := markedDevice(name)
	if err != nil {
		return err
	}
	s := newServices(cluster)
	device, err := tun.CreateTUN(name, link.Attrs().MTU)
	if err != nil {
		return fmt.Errorf("open device %s: %w", name, err)
	}
	d := udptun.New(device)
	if err := s.restoreUDP(ctx, d, name); err != nil {
		return errors.Join(err, device.Close())
	}
	control, err := control.Listen(s.udpSocket(name))
	if err != nil {
		return errors.Join(err, device.Close())
	}
	done, err := s.units.Ready(s.udpDaemon(name, network))
	if err != nil {
		return errors.Join(err, control.Close(), device.Close())
	}
	return errors.Join(carry(ctx, d, control), done())
}

// carry runs d and answers on control until something ends.
func carry(ctx context.Context, d *udptun.Device, control net.Listener) error {
	answered := make(chan error, 1)
	go func() { answered <- d.Answer(ctx, control) }()
	err := d.Run(ctx)
	err = errors.Join(err, control.Close())
	return errors.Join(err, <-answered)
}

// restoreUDP gives d what the last confirmed spec says about it, if it does.
func (s *services) restoreUDP(ctx context.Context, d *udptun.Device, name string) error {
	last := s.last()
	if last == nil {
		return nil
	}
	for _, l := range last.Links {
		if l.Name == name && l.Kind == spec.UDP && l.Tunnel != nil {
			return d.Set(ctx, udptun.Config{Local: l.Tunnel.Local, Port: l.Tunnel.Port, Members: membersOf(last, name)})
		}
	}
	return nil
}

var memberFamily = family{
	stage: stageMake, what: "UDP devices",
	observe: func(ctx context.Context, k *Kernel, _, have *spec.Host) error { return k.observeUDP(ctx, have) },
	diff: func(d *difference) {
		d.put(compare(d.want.Members, d.have.Members, keyMember, objectMember), clearing, coming)
	},
	standsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Members = slices.DeleteFunc(slices.Clone(have.Members), func(m spec.Member) bool { return vanish[m.Link] })
	},
	all: func(ctx context.Context, a *applier, ops []Op) error { return a.k.setMembers(ctx, a.want, ops) },
}

//go:build linux

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/control"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/udptun"
)

// A UDP device is a TUN device that outlives its process, as WireGuard in userspace
// is: addresses and routes stay while the process is started anew.

const udpStem = "udp-"

// UDPDaemon is the process behind a UDP device. The network only names it.
func UDPDaemon(s *host.Files, device, network string) unit.Daemon {
	return unit.Daemon{
		Name: udpStem + device, Mark: s.Cluster + "/" + network,
		Description: "UDP device " + device + " of flock network " + s.Cluster + "/" + network,
		Args:        []string{"agent", "udp", device},
	}
}

func udpSocket(s *host.Files, device string) string {
	return filepath.Join(s.RunDir(), udpStem+device+".sock")
}

// runsUDP says whether the process behind a TUN device of ours is a UDP device's: one
// that was killed leaves its unit, or its pid file.
func runsUDP(s *host.Files, device string) bool {
	d := UDPDaemon(s, device, "")
	return sysfile.Exists(s.Units.PIDFile(d)) || s.Units.Installed(d.Name)
}

func stopUDP(ctx context.Context, s *host.Files, device string) error {
	if err := s.Units.Stop(ctx, UDPDaemon(s, device, "")); err != nil {
		return err
	}
	return sysfile.Remove(udpSocket(s, device)) // it does so itself unless it was killed
}

// newUDP makes a device, still down and without members.
func newUDP(ctx context.Context, k *host.Host, l spec.Link) error {
	if err := newTUN(k, l); err != nil {
		return err
	}
	if err := k.Units.Start(ctx, UDPDaemon(k.Files, l.Name, l.Network)); err != nil {
		return err
	}
	return setUDP(ctx, k, l, nil)
}

// mendUDP brings a living device to want, its members aside. One whose process does
// not answer gets a new one.
func mendUDP(ctx context.Context, k *host.Host, want, have spec.Link) error {
	if have.Tunnel != nil && *have.Tunnel == *want.Tunnel {
		return nil
	}
	config, _, err := udptun.Get(ctx, udpSocket(k.Files, want.Name))
	if err != nil {
		if err := k.Units.Start(ctx, UDPDaemon(k.Files, want.Name, want.Network)); err != nil {
			return err
		}
	}
	return setUDP(ctx, k, want, config.Members)
}

func setUDP(ctx context.Context, k *host.Host, l spec.Link, members []udptun.Member) error {
	config := udptun.Config{Local: l.Tunnel.Local, Port: l.Tunnel.Port, Members: members}
	config.Members = spec.Without(members, func(m udptun.Member) bool { return m.Addr.Is6() != config.Local.Is6() })
	if err := udptun.Set(ctx, udpSocket(k.Files, l.Name), config); err != nil {
		return fmt.Errorf("set up link %s: %w", l.Name, err)
	}
	return nil
}

// setMembers gives the devices that ops are about the members that want has, all of
// a device's in one exchange. Packets of those that stay are not touched.
func setMembers(ctx context.Context, k *host.Host, want *spec.Host, ops []family.Op) error {
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
		if err := setUDP(ctx, k, want.Links[at], membersOf(want, m.Link)); err != nil {
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
func observeUDP(ctx context.Context, k *host.Host, have *spec.Host) error {
	for i := range have.Links {
		l := &have.Links[i]
		if l.Kind != spec.UDP {
			continue
		}
		l.Tunnel = &spec.Tunnel{}
		config, _, err := udptun.Get(ctx, udpSocket(k.Files, l.Name))
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			silentPort(k, UDPDaemon(k.Files, l.Name, ""), l.Name)
			continue
		}
		l.Tunnel.Local, l.Tunnel.Port = config.Local, config.Port
		for _, m := range config.Members {
			subnets := slices.Clone(m.Subnets)
			spec.SortPrefixes(subnets)
			have.Members = append(have.Members, spec.Member{Link: l.Name, Addr: m.Addr, Subnets: subnets})
		}
	}
	return nil
}

// RunUDP is the process behind the TUN device name, which an agent made: it carries its
// packets until it is told to end or the device is gone. A process that was started
// anew takes the last confirmed spec up by itself.
func RunUDP(ctx context.Context, name string, _ io.Writer) (err error) {
	link, cluster, network, err := markedDevice(name)
	if err != nil {
		return err
	}
	s := host.NewFiles(cluster)
	device, err := tun.CreateTUN(name, link.Attrs().MTU)
	if err != nil {
		return fmt.Errorf("open device %s: %w", name, err)
	}
	d := udptun.New(device)
	if err := restoreUDP(ctx, s, d, name); err != nil {
		return errors.Join(err, device.Close())
	}
	control, err := control.Listen(udpSocket(s, name))
	if err != nil {
		return errors.Join(err, device.Close())
	}
	done, err := s.Units.Ready(UDPDaemon(s, name, network))
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
	if closed := control.Close(); !errors.Is(closed, net.ErrClosed) { // the end of ctx closes it, too
		err = errors.Join(err, closed)
	}
	return errors.Join(err, <-answered)
}

// restoreUDP gives d what the last confirmed spec says about it, if it does.
func restoreUDP(ctx context.Context, s *host.Files, d *udptun.Device, name string) error {
	last := s.Last()
	if last == nil {
		return nil
	}
	for _, l := range last.Links {
		if l.Name == name && l.Kind == spec.UDP && l.Tunnel != nil {
			err := d.Set(ctx, udptun.Config{Local: l.Tunnel.Local, Port: l.Tunnel.Port, Members: membersOf(last, name)})
			if errors.Is(err, unix.EADDRINUSE) && s.Begun() {
				return nil // another device has the port by this change, which sets this one to its own
			}
			return err
		}
	}
	return nil
}

// MemberFamily is the members of UDP devices.
var MemberFamily = family.Family{
	Stage: family.StageMake, What: "UDP devices",
	Observe: func(ctx context.Context, k *host.Host, _, have *spec.Host) error { return observeUDP(ctx, k, have) },
	Diff: func(d *family.Difference) {
		d.Put(family.Compare(d.Want.Members, d.Have.Members, keyMember, objectMember), family.Clearing, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Members = spec.Without(have.Members, func(m spec.Member) bool { return vanish[m.Link] })
	},
	All: func(ctx context.Context, a *family.Applier, ops []family.Op) error {
		return setMembers(ctx, a.Host, a.Want, ops)
	},
}

type memberKey struct {
	link string
	addr netip.Addr
}

func keyMember(m spec.Member) memberKey { return memberKey{m.Link, m.Addr} }

func objectMember(m spec.Member) string { return "member " + m.Addr.String() + " dev " + m.Link }

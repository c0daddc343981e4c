//go:build linux

package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/guest"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Places in which libvirt changes a guest.
const (
	atStart = "--config"
	atOnce  = "--live"
)

// apply gives a guest what want says, for its next start, and at once if it runs. The mark comes
// first: what of it fails is found again, and goes back.
func (l *libvirtd) apply(ctx context.Context, k *host.Host, want spec.Attachment) error {
	g, err := l.guestOf(want.Container)
	if err != nil || g == nil {
		return err
	}
	marks := kept(g).Marks(k.Cluster)
	if at := markAt(marks, want.Interface); at >= 0 && marks[at].MAC != want.MAC { // it was another one
		if err := l.release(ctx, k, want); err != nil {
			return err
		}
		return l.apply(ctx, k, want)
	}
	if err := l.note(ctx, k.Cluster, g, &want); err != nil {
		return fmt.Errorf("mark %s: %w", want.Container, err)
	}
	if err := l.store(ctx, g, &want); err != nil {
		return fmt.Errorf("write %s of %s down: %w", want.Interface, want.Container, err)
	}
	if g.Running == nil {
		return nil
	}
	if err := l.plug(ctx, k, g, &want); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", want.Interface, want.Container, err)
	}
	return nil
}

// note marks an interface, and what one of the guest's own was before.
func (l *libvirtd) note(ctx context.Context, cluster string, g *guest.Guest, want *spec.Attachment) error {
	marks := kept(g).Marks(cluster)
	m := guest.Mark{Cluster: cluster, Interface: want.Interface, MAC: want.MAC, Network: want.Network}
	at := markAt(marks, want.Interface)
	if at >= 0 {
		m.Was = marks[at].Was
	}
	if n := kept(g).NIC(want.MAC); want.Moved && m.Was == "" {
		if n == nil {
			return errors.New("it has no interface with the MAC " + want.MAC)
		}
		m.Was = n.Source()
	}
	switch {
	case at >= 0 && marks[at] == m:
		return nil
	case at >= 0:
		marks[at] = m
	default:
		marks = append(marks, m)
	}
	return l.write(ctx, cluster, g, marks)
}

// write replaces the marks of a cluster.
func (l *libvirtd) write(ctx context.Context, cluster string, g *guest.Guest, marks []guest.Mark) error {
	args := append([]string{"metadata", g.UUID, "--uri", guest.Space(cluster)}, places(g)...)
	if len(marks) == 0 {
		args = append(args, "--remove")
	} else {
		args = append(args, "--key", guest.Key, "--set", guest.Text(marks))
	}
	_, err := l.virsh(ctx, "", args...)
	return err
}

// places are those where g is.
func places(g *guest.Guest) []string {
	var out []string
	if g.Kept != nil {
		out = append(out, atStart)
	}
	if g.Running != nil {
		out = append(out, atOnce)
	}
	return out
}

// device changes an interface of a guest in one place: how is attach, update or detach.
func (l *libvirtd) device(ctx context.Context, g *guest.Guest, how, place, text string) error {
	_, err := l.virsh(ctx, text, how+"-device", g.UUID, virshInput, place)
	return err
}

// store makes the guest's configuration say what want says.
func (l *libvirtd) store(ctx context.Context, g *guest.Guest, want *spec.Attachment) error {
	if g.Kept == nil {
		return nil
	}
	switch n := g.Kept.NIC(want.MAC); {
	case n == nil:
		return l.device(ctx, g, "attach", atStart, g.Kept.New(want.MAC, portName(want), want.Bridge, want.MTU))
	case !n.On(want.Bridge) || n.MTU != want.MTU:
		return l.device(ctx, g, "update", atStart, n.In(guest.Source(want.Bridge, want.MTU), false))
	}
	return nil
}

// portName is the name of the end on the server of an interface that flock makes; libvirt names
// those of others.
func portName(a *spec.Attachment) string {
	if a.Moved {
		return ""
	}
	return a.Host
}

// plug makes what a running guest has what want says.
func (l *libvirtd) plug(ctx context.Context, k *host.Host, g *guest.Guest, want *spec.Attachment) error {
	switch n := g.Running.NIC(want.MAC); {
	case n == nil:
		if err := l.device(ctx, g, "attach", atOnce, g.Running.New(want.MAC, portName(want), want.Bridge, want.MTU)); err != nil {
			return err
		}
	case !n.On(want.Bridge):
		if err := l.replace(ctx, k, g, want.Container, want.MAC, guest.Source(want.Bridge, want.MTU)); err != nil {
			return err
		}
	}
	tap, err := l.tapOf(k, want.Container, want.MAC)
	if err != nil || tap == nil {
		return cmp.Or(err, errors.New("it has no end on the server"))
	}
	return replug(k, *want, tap.Attrs().Index)
}

// replace plugs an interface of a running guest in elsewhere. Before that it is taken out where it
// is not what libvirt believes: a bridge may have another name now, and what is a port of one
// becomes none of another.
func (l *libvirtd) replace(ctx context.Context, k *host.Host, g *guest.Guest, container, mac, source string) error {
	text, err := l.virsh(ctx, "", "dumpxml", g.UUID)
	if err != nil {
		return err
	}
	n := guest.Parse(text).NIC(mac)
	if n == nil {
		return errors.New("it is gone")
	}
	tap, err := l.tapOf(k, container, mac)
	if err != nil {
		return err
	}
	if at, err := k.Handle.LinkByName(n.Bridge); tap != nil && (err != nil || at.Attrs().Index != tap.Attrs().MasterIndex) {
		if err := unplug(k, tap.Attrs().Index); err != nil {
			return err
		}
	}
	// The cable is out meanwhile, where somebody has not taken it out before: DHCP clients that
	// watch it ask anew. Who ends this session does not leave it out.
	ctx = context.WithoutCancel(ctx)
	if _, err := l.virsh(ctx, "", "domif-setlink", g.UUID, mac, "down"); err != nil {
		return err
	}
	if err := l.device(ctx, g, "update", atOnce, n.In(source, true)); err != nil {
		return errors.Join(err, l.device(ctx, g, "update", atOnce, n.Text()))
	}
	return nil
}

// unplug takes a port, by its index, out of its bridge.
func unplug(k *host.Host, index int) error {
	return k.RT.Do(changed(index, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(0))))
}

// release takes an interface away from a guest, or plugs in again where it was what the guest
// had before.
func (l *libvirtd) release(ctx context.Context, k *host.Host, have spec.Attachment) error {
	g, err := l.guestOf(have.Container)
	if err != nil || g == nil {
		return err
	}
	marks := kept(g).Marks(k.Cluster)
	at := markAt(marks, have.Interface)
	if at < 0 {
		return nil
	}
	m := marks[at]
	if n := g.Kept.NIC(m.MAC); n != nil {
		how, text := "detach", n.Text()
		if m.Was != "" {
			how, text = "update", n.In(m.Was, false)
		}
		if err := l.device(ctx, g, how, atStart, text); err != nil {
			return fmt.Errorf("take %s of %s out of what is written down: %w", have.Interface, have.Container, err)
		}
	}
	if g.Running.NIC(m.MAC) != nil {
		if err := l.leave(ctx, k, g, have.Container, m); err != nil {
			return fmt.Errorf("take %s of %s out: %w", have.Interface, have.Container, err)
		}
	}
	return l.write(ctx, k.Cluster, g, slices.Delete(marks, at, at+1))
}

// leave takes an interface off its bridge, now. A guest may keep a device for as long as it
// likes, and libvirt does not start a network again that somebody stopped: then the interface is
// on no bridge until the guest starts anew.
func (l *libvirtd) leave(ctx context.Context, k *host.Host, g *guest.Guest, container string, m guest.Mark) error {
	tap, err := l.tapOf(k, container, m.MAC)
	if err != nil {
		return err
	}
	if m.Was == "" {
		err = l.device(ctx, g, "detach", atOnce, g.Running.NIC(m.MAC).Text())
	} else {
		err = l.replace(ctx, k, g, container, m.MAC, m.Was)
	}
	now, err2 := l.tapOf(k, container, m.MAC)
	switch {
	case err2 != nil || tap == nil || now == nil:
		return err2
	case m.Was != "" && err == nil:
		size := nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(cmp.Or(guest.SourceMTU(m.Was), ethernet)))) //nolint:gosec // as libvirt wrote it
		return k.RT.Do(changed(now.Attrs().Index, size))
	case now.Attrs().MasterIndex == tap.Attrs().MasterIndex:
		return unplug(k, now.Attrs().Index)
	}
	return nil
}

// ethernet is the MTU that devices have of whom nothing is said.
const ethernet = 1500

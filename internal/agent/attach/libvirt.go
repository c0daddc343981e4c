//go:build linux

package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/guest"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// A guest of libvirt's has no network namespace: its interfaces are devices of a machine that
// is emulated, with an end on the server. libvirt gives them to it, while it runs and in its
// configuration, and plugs them in at each start; nothing of flock has to be there for that. They
// are told apart by their MACs, all that the guest and libvirt agree on.
//
// What there is stands in libvirt's files. Changes are virsh's: the library of libvirt needs cgo,
// and a protocol of our own over libvirt's socket a package several times as large as this.

// libvirtd are the guests of qemu:///system.
type libvirtd struct {
	guest.Files
	virsh func(ctx context.Context, input string, args ...string) (string, error)
}

var guests = &libvirtd{Files: guest.System(), virsh: func(ctx context.Context, input string, args ...string) (string, error) {
	if _, err := unit.LookPath("virsh"); err != nil {
		return "", errNoVirsh
	}
	return unit.Ask(ctx, virshMost, input, "virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...)
}}

var errNoVirsh = errors.New("there is no virsh")

// virshMost is how long libvirt may take for one thing. It waits 5 s for a guest that is to let
// go of a device.
const virshMost = 30 * time.Second

// virshInput is the file that is virsh's input.
const virshInput = "/dev/stdin"

var libvirt = sort{
	kind: spec.Libvirt, names: guests.names, open: guestSpace, there: guests.there, guests: guests,
	// It is written down when all is there, and one that starts gets a device.
	comes: func(string) bool { return false },
	dirs:  func(func(string) bool) []string { return []string{guests.Kept} },
}

// names leaves out what could be no part of a container's name.
func (l *libvirtd) names() ([]string, error) {
	list, err := l.Names()
	return slices.DeleteFunc(list, func(name string) bool { return spec.CheckContainer(spec.Libvirt+"/"+name) != nil }), err
}

func (l *libvirtd) there(name string) bool {
	g, err := l.Find(name)
	return err == nil && g != nil
}

func guestSpace(string) (int, error) {
	return -1, fmt.Errorf("a guest has no network namespace: %w", fs.ErrNotExist)
}

// guestsOf are the guests that a container is one of, nil if it is none.
func guestsOf(container string) *libvirtd {
	s, _, err := sortOf(container)
	if err != nil {
		return nil
	}
	return s.guests
}

// guestOf is the guest that is a container, nil if there is none.
func (l *libvirtd) guestOf(container string) (*guest.Guest, error) {
	_, name, _ := strings.Cut(container, "/")
	g, err := l.Find(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", container, err)
	}
	return g, nil
}

// kept is where marks are: what stays of g.
func kept(g *guest.Guest) *guest.Domain {
	if g.Kept != nil {
		return g.Kept
	}
	return g.Running
}

// markAt is the place of an interface among marks; -1 if it is not there.
func markAt(marks []guest.Mark, iface string) int {
	return slices.IndexFunc(marks, func(m guest.Mark) bool { return m.Interface == iface })
}

// observe adds what guests have that is marked, to what is wanted of them.
func (l *libvirtd) observe(k *host.Host, want []spec.Attachment, have *spec.Host) error {
	if k.Held == nil {
		k.Held = map[int]bool{}
	}
	wants := map[string]spec.Attachment{}
	names, err := l.names()
	if err != nil {
		return err
	}
	for _, w := range want {
		wants[w.Object()] = w
		if _, name, _ := strings.Cut(w.Container, "/"); !slices.Contains(names, name) {
			have.Attached = append(have.Attached, w) // it comes with its guest
			if !slices.Contains(k.Awaited, w.Container) {
				k.Awaited = append(k.Awaited, w.Container)
			}
		}
	}
	for _, name := range names {
		g, err := l.guestOf(spec.Libvirt + "/" + name)
		if err != nil {
			return err
		}
		if g == nil {
			continue // it goes
		}
		for _, m := range kept(g).Marks(k.Cluster) {
			a := spec.Attachment{Container: spec.Libvirt + "/" + name, Interface: m.Interface, Network: m.Network, MAC: m.MAC, Moved: m.Was != ""}
			w := wants[a.Object()]
			if n := g.Now().NIC(m.MAC); n != nil {
				seen(k, &a, &w, g, n)
			} else if w.Container != "" {
				continue // it is to be made
			}
			a.Unkept = w.Container != "" && !keeps(g, &w)
			have.Attached = append(have.Attached, a)
		}
	}
	return nil
}

// seen completes a with what an interface is: what the kernel has of one that is there, and what
// is written of one of a guest that is shut off.
func seen(k *host.Host, a, w *spec.Attachment, g *guest.Guest, n *guest.NIC) {
	a.Bridge, a.MTU = n.Bridge, n.MTU
	if g.Running != nil {
		a.Bridge, a.MTU = "", 0
		if tap := k.Devices.ByName[n.Target]; tap != nil {
			k.Held[tap.Attrs().Index] = true
			a.Bridge, a.MTU, a.Down = k.Devices.Name(tap.Attrs().MasterIndex), tap.Attrs().MTU, tap.Attrs().Flags&net.FlagUp == 0
		}
	}
	if w.Container == "" {
		return
	}
	a.Host, a.Addrs, a.Gateways, a.Moved = w.Host, w.Addrs, w.Gateways, w.Moved // which only the guest itself knows
	if w.MTU == 0 {
		a.MTU = 0
	}
}

// keeps says whether a guest has w again after its next start, and after one of libvirt.
func keeps(g *guest.Guest, w *spec.Attachment) bool {
	if g.Kept != nil {
		if n := g.Kept.NIC(w.MAC); n == nil || !n.On(w.Bridge) || n.MTU != w.MTU {
			return false
		}
	}
	n := g.Running.NIC(w.MAC)
	return g.Running == nil || n != nil && n.On(w.Bridge)
}

// list are all guests with their interfaces. Those of which the server has an end are noted in
// known.
func (l *libvirtd) list(k *host.Host, known map[int]bool) ([]spec.Container, error) {
	names, err := l.names()
	if err != nil {
		return nil, err
	}
	var out []spec.Container
	for _, name := range names {
		g, err := l.guestOf(spec.Libvirt + "/" + name)
		if err != nil {
			return nil, err
		}
		if g == nil {
			continue // it goes
		}
		c := spec.Container{Name: spec.Libvirt + "/" + name, Stopped: g.Running == nil}
		marks := kept(g).Marks("")
		for i, label := range g.Now().Labels(marks) {
			n := g.Now().NICs[i]
			is := spec.ContainerInterface{Name: label, Bridge: n.Bridge, MAC: n.MAC}
			if at := slices.IndexFunc(marks, func(m guest.Mark) bool { return m.MAC == n.MAC }); at >= 0 {
				is.Owner = marks[at].Cluster
			}
			if tap := k.Devices.ByName[n.Target]; tap != nil && g.Running != nil {
				known[tap.Attrs().Index] = true
				is.Port, is.Bridge = n.Target, k.Devices.Name(tap.Attrs().MasterIndex)
			}
			c.Interfaces = append(c.Interfaces, is)
		}
		out = append(out, c)
	}
	return out, nil
}

// objects are the interfaces that guests have for a cluster.
func (l *libvirtd) objects(k *host.Host) ([]string, error) {
	have := &spec.Host{}
	err := l.observe(k, nil, have)
	var out []string
	for _, a := range have.Attached {
		out = append(out, a.Object())
	}
	return out, err
}

// refuse says what is in the way of a new interface, "" if nothing, and what to do.
func (l *libvirtd) refuse(w spec.Attachment) (what, next string, err error) {
	g, err := l.guestOf(w.Container)
	if err != nil || g == nil {
		return "", "", err
	}
	look := "virsh domiflist " + g.Name + " lists those that it has"
	n := g.Now().NIC(w.MAC)
	switch {
	case !w.Moved && n == nil && slices.Contains(g.Now().Labels(kept(g).Marks("")), w.Interface):
		return foreignInterface(w), "choose another name for the interface; " + look, nil
	case !w.Moved:
		return "", "", nil
	case n == nil || g.Kept != nil && g.Kept.NIC(w.MAC) == nil:
		return w.Container + " has no interface with the MAC " + w.MAC + " that stays", look + "; delnet forgets this one", nil
	case !n.Movable():
		return w.Container + "'s " + w.Interface + " is of type " + n.Kind + ", only one on a bridge of the kernel can be moved to another", "leave it, and give the guest one more by addnet; " + look, nil
	}
	return "", "", nil
}

// silent are the problems of an apply for which libvirt must be told something, and cannot be.
func (l *libvirtd) silent(ctx context.Context, ops []family.Op) ([]spec.Problem, error) {
	for _, op := range ops {
		a, wanted := op.Want.(spec.Attachment)
		if !wanted {
			a, _ = op.Have.(spec.Attachment)
		}
		if guestsOf(a.Container) == nil {
			continue
		}
		g, err := l.guestOf(a.Container)
		if err != nil {
			return nil, err
		}
		if g == nil {
			continue
		}
		_, err = l.virsh(ctx, "", "domstate", g.UUID)
		switch {
		case err == nil:
			return nil, nil
		case errors.Is(err, errNoVirsh):
			return []spec.Problem{{What: "there is no virsh, by which libvirt is told about " + a.Container, Next: "apt install libvirt-clients"}}, nil
		}
		return []spec.Problem{{What: "libvirt does not answer about " + a.Container + ": " + err.Error(), Next: "systemctl start libvirtd"}}, nil
	}
	return nil, nil
}

// tapOf is the end on the server of a guest's interface, nil if there is none, as it is now.
func (l *libvirtd) tapOf(k *host.Host, container, mac string) (netlink.Link, error) {
	g, err := l.guestOf(container)
	if err != nil || g == nil {
		return nil, err
	}
	n := g.Running.NIC(mac)
	if n == nil || n.Target == "" {
		return nil, nil
	}
	tap, err := k.Handle.LinkByName(n.Target)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	return tap, err
}

//go:build linux

package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Interfaces in containers. What a pair is for stands in the alias of its end on the
// server: flock:CLUSTER/NETWORK/KIND/NAME/INTERFACE ADDRESSES. Nothing has to be
// remembered, and a container that goes takes its pair along.

const veth = "veth"

// attachedAs reads what stands in the alias of l.
func attachedAs(k *host.Host, l netlink.Link) (a spec.Attachment, addrs string, ok bool) {
	text, ours := k.Network(l)
	if !ours || l.Type() != veth {
		return a, "", false
	}
	text, addrs, _ = strings.Cut(text, " ")
	words := strings.Split(text, "/")
	if len(words) != 4 {
		words = []string{words[0], "", "", ""}
	}
	return spec.Attachment{
		Network: words[0], Container: words[1] + "/" + words[2], Interface: words[3],
		Host: l.Attrs().Name, Bridge: k.Devices.Name(l.Attrs().MasterIndex),
	}, addrs, true
}

func attachedAlias(cluster string, a spec.Attachment) string {
	return spec.Alias(cluster, a.Network+"/"+a.Container+"/"+a.Interface+" "+prefixTexts(a.Addrs))
}

func prefixTexts(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ",")
}

// attachedLinks are the ends on the server of what is attached, in order of name.
func attachedLinks(k *host.Host) []netlink.Link {
	var names []string
	for name, l := range k.Devices.ByName {
		if _, _, ok := attachedAs(k, l); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []netlink.Link
	for _, name := range names {
		out = append(out, k.Devices.ByName[name])
	}
	return out
}

// observeAttached fills in have.Attached, and Host.Awaited. What is wanted for a
// container that is not there stands, as far as it can.
func observeAttached(k *host.Host, want, have *spec.Host) error {
	k.Awaited = nil
	links := attachedLinks(k)
	there := map[string]*Inside{}
	wants := map[string]spec.Attachment{}
	for _, w := range want.Attached {
		wants[w.Object()] = w
		if there[w.Container] == nil && !slices.Contains(k.Awaited, w.Container) {
			in, err := lookInto(w.Container)
			if err != nil {
				return err
			}
			if there[w.Container] = in; in == nil {
				k.Awaited = append(k.Awaited, w.Container)
			}
		}
	}
	found := map[string]bool{}
	for _, l := range links {
		a, addrs, _ := attachedAs(k, l)
		completeAttached(&a, wants[a.Object()], l, there[a.Container], addrs)
		have.Attached = append(have.Attached, a)
		found[a.Object()] = true
	}
	for _, w := range want.Attached {
		if there[w.Container] == nil && !found[w.Object()] {
			have.Attached = append(have.Attached, w)
		}
	}
	return nil
}

// lookInto is what is in a container; nil if it is not there.
func lookInto(container string) (*Inside, error) {
	s, err := Open(container)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in, err := s.Look()
	return in, errors.Join(err, s.Close())
}

// completeAttached adds what is in the container, if the other end of l is there under its
// name. Of addresses and routes that counts what w wants, of the MTUs the one that differs.
func completeAttached(a *spec.Attachment, w spec.Attachment, l netlink.Link, in *Inside, given string) {
	var end netlink.Link
	if in != nil {
		end = in.Link(a.Interface)
	}
	if end == nil || end.Attrs().ParentIndex != l.Attrs().Index || end.Attrs().Index != l.Attrs().ParentIndex {
		return
	}
	a.MAC = end.Attrs().HardwareAddr.String()
	a.Down = (l.Attrs().Flags&end.Attrs().Flags)&net.FlagUp == 0
	if w.MTU != 0 {
		if a.MTU = l.Attrs().MTU; a.MTU == w.MTU {
			a.MTU = end.Attrs().MTU
		}
	}
	has := in.Prefixes(end.Attrs().Index)
	for _, p := range w.Addrs {
		if slices.Contains(has, p) {
			a.Addrs = append(a.Addrs, p)
		}
	}
	if given != prefixTexts(w.Addrs) { // and what was given before is still there
		for text := range strings.SplitSeq(given, ",") {
			if p, err := netip.ParsePrefix(text); err == nil && !slices.Contains(a.Addrs, p) {
				a.Addrs = append(a.Addrs, p)
			}
		}
	}
	a.Gateways = in.Routed(w.Gateways)
}

func diffAttached(d *family.Difference) {
	d.Put(family.Compare(d.Want.Attached, d.Have.Attached, spec.Attachment.Object, spec.Attachment.Object), family.Clearing, family.Coming)
}

// applyAttached attaches, changes or detaches. An interface that has other addresses than
// it is to have is made anew: nobody but the container knows who uses the old ones.
func applyAttached(k *host.Host, op family.Op) error {
	want, wanted := op.Want.(spec.Attachment)
	have, found := op.Have.(spec.Attachment)
	if found {
		l := k.Devices.ByName[have.Host]
		if l == nil {
			return nil
		}
		_, given, ours := attachedAs(k, l)
		if !ours {
			return fmt.Errorf("detach %s: %s does not carry the mark of cluster %s", have.Container, have.Host, k.Cluster)
		}
		same := wanted && have.MAC == want.MAC && have.Host == want.Host && given == prefixTexts(want.Addrs)
		if !same {
			if err := detach(k, l); err != nil {
				return err
			}
			found = false
		}
	}
	if !wanted {
		return nil
	}
	s, err := Open(want.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it left a moment ago
	}
	if err != nil {
		return err
	}
	if found {
		err = replug(k, want)
	} else {
		err = plug(k, want, s.FD)
	}
	if err == nil {
		err = s.Set(want)
	}
	return errors.Join(err, s.Close())
}

func detach(k *host.Host, l netlink.Link) error {
	m := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(l.Attrs().Index)
	m.AddData(info)
	if err := k.RT.Do(m); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", l.Attrs().Name, err)
	}
	return nil
}

// plug makes the pair, with one end in the namespace, marks the other and plugs it in: as
// newKernelLink does, in one system call.
func plug(k *host.Host, a spec.Attachment, namespace int) error {
	mac, err := net.ParseMAC(a.MAC)
	if err != nil {
		return err
	}
	create := host.LinkMessage(unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0, 0)
	create.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(a.Host)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, []byte(veth))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(a.Interface))
	peer.AddRtAttr(unix.IFLA_ADDRESS, mac)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(namespace)))
	if a.MTU != 0 {
		create.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU))))
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU)))
	}
	create.AddData(info)
	messages := []*nl.NetlinkRequest{create, changed(0, aliasAttr(k, a))}
	if a.Bridge != "" {
		m, err := masterAttr(k, a.Bridge)
		if err != nil {
			return err
		}
		messages = append(messages, changed(0, m))
	}
	messages = append(messages, host.LinkMessage(0, 0, unix.IFF_UP, unix.IFF_UP))
	group := host.FreshGroup | rand.Uint32()
	for _, m := range messages {
		m.AddData(host.GroupAttr(group))
	}
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("make %s in %s: %w", a.Interface, a.Container, err)
	}
	leave := host.LinkMessage(0, 0, 0, 0)
	leave.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(a.Host)))
	leave.AddData(host.GroupAttr(0))
	return k.RT.Do(leave)
}

// changed is a message that gives a link, by its index or by what else the message says, attr.
func changed(index int, attr *nl.RtAttr) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	m.AddData(attr)
	return m
}

func aliasAttr(k *host.Host, a spec.Attachment) *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(attachedAlias(k.Cluster, a)))
}

// masterAttr makes a link a port of bridge, "" of none.
func masterAttr(k *host.Host, bridge string) (*nl.RtAttr, error) {
	index := 0
	if bridge != "" {
		var err error
		if index, err = k.Index(bridge); err != nil {
			return nil, err
		}
	}
	return nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index))), nil //nolint:gosec // the kernel's own number
}

// replug brings the end on the server to a.
func replug(k *host.Host, a spec.Attachment) error {
	index, err := k.Index(a.Host)
	if err != nil {
		return err
	}
	plug, err := masterAttr(k, a.Bridge)
	if err != nil {
		return err
	}
	messages := []*nl.NetlinkRequest{changed(index, aliasAttr(k, a)), changed(index, plug)}
	if a.MTU != 0 {
		messages = append(messages, changed(index, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU))))) //nolint:gosec // at most 65535
	}
	messages = append(messages, host.LinkMessage(0, index, unix.IFF_UP, unix.IFF_UP))
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", a.Interface, a.Container, err)
	}
	return nil
}

// claimAttached refuses an interface that a container has from somebody else.
func claimAttached(ops []family.Op) ([]spec.Problem, error) {
	var out []spec.Problem
	for _, op := range ops {
		w, wanted := op.Want.(spec.Attachment)
		if !wanted || op.Have != nil {
			continue
		}
		in, err := lookInto(w.Container)
		if err != nil {
			return nil, err
		}
		if in != nil && in.Link(w.Interface) != nil {
			out = append(out, spec.Problem{
				What: w.Container + " has an interface " + w.Interface + " already, flock did not make it",
				Next: "choose another name for the interface; ip link, in the container, lists those that it has",
			})
		}
	}
	return out, nil
}

// Family are the interfaces of containers.
var Family = family.Family{
	Stage: family.StageUse, What: "containers",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		return observeAttached(k, want, have)
	},
	Diff: diffAttached,
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Attached = slices.Clone(have.Attached)
		for i, a := range have.Attached {
			if vanish[a.Bridge] { // the pair stays, on no bridge
				have.Attached[i].Bridge = ""
			}
		}
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		if err := a.Flush(ctx); err != nil {
			return err
		}
		return applyAttached(a.Host, op)
	},
	Tried: family.Tried{
		Files: func(_ *host.Files, op family.Op) ([]string, bool) { return nil, op.Want != nil },
		Watcher: func(k *host.Host, op family.Op) (string, error) {
			if op.Want == nil || k.Units.PID(Daemon(k.Files)) != 0 {
				return "", nil
			}
			return "the process that attaches containers", nil
		},
		Claim: func(_ context.Context, _ *host.Host, _ *spec.Host, ops []family.Op) ([]spec.Problem, error) {
			return claimAttached(ops)
		},
	},
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		var out []string
		for _, l := range attachedLinks(k) {
			a, _, _ := attachedAs(k, l)
			out = append(out, a.Object())
		}
		return out, nil
	},
}

//go:build linux

package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

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

func diffAttached(d *family.Difference) {
	d.Put(family.Compare(d.Want.Attached, d.Have.Attached, spec.Attachment.Object, spec.Attachment.Object), family.Clearing, family.Coming)
}

// applyAttached attaches, changes or detaches, and has it kept where the container does that.
func applyAttached(ctx context.Context, k *host.Host, op family.Op) error {
	want, wanted := op.Want.(spec.Attachment)
	have, found := op.Have.(spec.Attachment)
	l := guestsOf(cmp.Or(want.Container, have.Container))
	switch {
	case l != nil && wanted:
		return l.apply(ctx, k, want)
	case l != nil:
		return l.release(ctx, k, have)
	case !wanted:
		return release(k, have)
	}
	if keeper := keeperOf(want.Container); keeper != nil {
		if err := keeper.hold(k.Cluster, want); err != nil {
			return fmt.Errorf("keep %s in the configuration of %s: %w", want.Interface, want.Container, err)
		}
	}
	s, err := Open(want.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it left a moment ago, or is yet to start
	}
	if err != nil {
		return err
	}
	if !found && !want.Moved && keeperOf(want.Container) == nil {
		err = plug(k, want, s.FD)
	} else {
		err = attachTo(k, s, want, have)
	}
	if err == nil {
		err = s.Set(want)
	}
	return errors.Join(err, s.Close())
}

// attachTo makes the interface of a container what want says, whatever is there of it. One
// of flock's making that is to have other addresses is made anew: nobody but the container
// knows who uses the old ones.
func attachTo(k *host.Host, s *Space, want, have spec.Attachment) error {
	in, err := s.Look()
	if err != nil {
		return err
	}
	port, m := portOf(k, in, want)
	end := in.Link(want.Interface)
	switch {
	case port == nil && end != nil:
		return errors.New(foreignInterface(want))
	case port == nil:
		return plug(k, want, s.FD)
	case !isOwn(port) && end == nil:
		return fmt.Errorf("attach %s: its %s has another name now", want.Container, want.Interface)
	case !isOwn(port):
		return move(k, s, in, movement{want: want, have: have, port: port, end: end, was: m.was})
	case end == nil || !isPair(end, port) || end.Attrs().HardwareAddr.String() != want.MAC || port.Attrs().Name != want.Host || m.given != joined(want.Addrs):
		if err := detach(k, port); err != nil {
			return err
		}
		return plug(k, want, s.FD)
	}
	return replug(k, want, port.Attrs().Index, aliasAttr(k, want))
}

// portOf is the end on the server of a container's interface: the one with its mark, or
// the one that it leads to and that flock may have.
func portOf(k *host.Host, in *Inside, a spec.Attachment) (netlink.Link, mark) {
	for _, l := range attachedLinks(k) {
		if is, m, _ := attachedAs(k, l); is.Object() == a.Object() {
			return l, m
		}
	}
	if a.Moved || keeperOf(a.Container) != nil {
		return portIn(k, in, a.Interface), mark{}
	}
	return nil, mark{}
}

// release detaches, or gives back what the container had before.
func release(k *host.Host, have spec.Attachment) (err error) {
	s, err := Open(have.Container)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = nil
	var in *Inside
	if s != nil {
		defer func() { err = errors.Join(err, s.Close()) }()
		if in, err = s.Look(); err != nil {
			return err
		}
	}
	port, m := portOf(k, in, have)
	switch {
	case port == nil:
	case isOwn(port) || m.was == nil && !have.Moved:
		err = detach(k, port)
	default:
		err = giveBack(k, s, in, have, port, m)
	}
	if keeper := keeperOf(have.Container); err == nil && keeper != nil {
		err = keeper.drop(k.Cluster, have)
	}
	return err
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

// claimAttached refuses an interface that a container has from somebody else, and cannot
// be moved.
func claimAttached(k *host.Host, ops []family.Op) ([]spec.Problem, error) {
	var out []spec.Problem
	for _, op := range ops {
		w, wanted := op.Want.(spec.Attachment)
		if !wanted || op.Have != nil {
			continue
		}
		what, next, err := clash(k, w)
		if err != nil {
			return nil, err
		}
		if what != "" {
			out = append(out, spec.Problem{What: what, Next: cmp.Or(next, "choose another name for the interface; ip link, in the container, lists those that it has")})
		}
	}
	return out, nil
}

// claimOwners refuses containers, beside those of before, that are not root's.
func claimOwners(k *host.Host, want *spec.Host) []spec.Problem {
	var out []spec.Problem
	before := attachedOf(k.Last())
	for _, w := range want.Attached {
		if slices.ContainsFunc(before, func(a spec.Attachment) bool { return a.Container == w.Container }) {
			continue
		}
		if user := ownerOf(w.Container); user != "" {
			out = append(out, spec.Problem{
				What: w.Container + " is rootless, of the user " + user,
				Next: "run it as root: only containers of root get interfaces",
			})
		}
	}
	return out
}

// clash says what is in the way of a new interface, "" if nothing, and what to do, "" where
// that is to choose another name.
func clash(k *host.Host, w spec.Attachment) (what, next string, err error) {
	if l := guestsOf(w.Container); l != nil {
		return l.refuse(w)
	}
	in, err := lookInto(w.Container)
	if err != nil {
		return "", "", err
	}
	if in != nil && in.Link(w.Interface) != nil {
		switch {
		case !w.Moved:
			return foreignInterface(w), "", nil
		case portIn(k, in, w.Interface) == nil:
			return w.Container + "'s " + w.Interface + " is no end of a veth on the server, and cannot be moved to another bridge", "", nil
		}
	}
	if keeper := keeperOf(w.Container); keeper != nil {
		what, err = keeper.clash(w)
	}
	return what, "", err
}

// keptIn are the directories of the configurations in which an op is kept.
func keptIn(op family.Op) (dirs []string) {
	for _, object := range []any{op.Want, op.Have} {
		a, _ := object.(spec.Attachment)
		if keeper := keeperOf(a.Container); keeper != nil && exists(a.Container) {
			return []string{keeper.dir(a.Container)}
		}
	}
	return nil
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
		return applyAttached(ctx, a.Host, op)
	},
	Tried: family.Tried{
		Files: func(_ *host.Files, op family.Op) ([]string, bool) { return keptIn(op), op.Want != nil },
		Watcher: func(k *host.Host, op family.Op) (string, error) {
			if op.Want == nil || k.Units.PID(Daemon(k.Files)) != 0 {
				return "", nil
			}
			return "the process that attaches containers", nil
		},
		Claim: func(ctx context.Context, k *host.Host, want *spec.Host, ops []family.Op) ([]spec.Problem, error) {
			out, err := claimAttached(k, ops)
			silent, err2 := guests.silent(ctx, ops)
			return slices.Concat(out, silent, claimOwners(k, want)), errors.Join(err, err2)
		},
	},
	Apart:  true,
	Marked: true,
	Finish: func(_ context.Context, k *host.Host, _ *spec.Host) error { return asked(k) },
	Daemons: func(s *host.Files, want *spec.Host) []unit.Daemon {
		if !asksForDaemon(want) {
			return nil
		}
		return []unit.Daemon{Daemon(s)}
	},
	Run: runDaemon,
	Remains: func(k *host.Host) ([]string, error) {
		var out []string
		for _, l := range attachedLinks(k) {
			a, _, _ := attachedAs(k, l)
			out = append(out, a.Object())
		}
		kept, err := keptObjects(k.Cluster)
		for object := range kept {
			out = append(out, object)
		}
		given, err2 := guests.objects(k)
		out = append(out, given...)
		slices.Sort(out)
		return slices.Compact(out), errors.Join(err, err2)
	},
}

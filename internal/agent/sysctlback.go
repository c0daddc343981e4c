//go:build linux

package agent

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// observeLetGo adds the settings that nobody wants any more to have: what they go back
// to, or for whom they stay.
func (k *Kernel) observeLetGo(wanted map[string]bool, have *spec.Host) error {
	notes, err := k.readSysctlNotes()
	if err != nil {
		return err
	}
	k.around = nil
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if wanted[key] {
			continue
		}
		n := notes[key]
		own, kept, err := k.letGo(key, notes)
		if err != nil {
			return err
		}
		if own {
			have.Sysctls = append(have.Sysctls, spec.Sysctl{Key: key, Value: n.Set, Back: n.Found, Kept: kept})
		}
	}
	return nil
}

// letGo says whether what a setting is goes by our note of it, and if so, for whom it
// stays like that, "" to set it back.
func (k *Kernel) letGo(key string, notes map[string]sysctlNote) (own bool, kept string, err error) {
	n := notes[key]
	if own, err = k.restores(key, n); err != nil || !own {
		return false, "", err
	}
	if k.around == nil {
		if k.around, err = k.lookAround(); err != nil {
			return false, "", err
		}
	}
	if sysctl.AcceptsRA(key) > 0 {
		if k.around.Routes6, err = k.routes6(notes); err != nil {
			return false, "", err
		}
	}
	return true, k.around.KeptFor(key, n.Set), nil
}

// routes6 says whether the server will go on to forward IPv6.
func (k *Kernel) routes6(notes map[string]sysctlNote) (bool, error) {
	value, err := sysctl.Read(sysctl.ForwardingIPv6)
	if err != nil || value != "1" {
		return false, err
	}
	own, kept, err := k.letGo(sysctl.ForwardingIPv6, notes)
	return !own || kept != "" || notes[sysctl.ForwardingIPv6].Found == "1", err
}

// restores says whether letting go of a setting means to decide about it: not when
// somebody changed it meanwhile, nor while another cluster needs it.
func (k *Kernel) restores(key string, n sysctlNote) (bool, error) {
	value, err := sysctl.Read(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || value != n.Set || n.Found == n.Set {
		return false, err
	}
	others, err := k.otherNotes()
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(others, func(o clusterNotes) bool { _, ok := o.notes[key]; return ok }), nil
}

// dropSysctl lets go of a setting: what was found comes back, unless somebody changed it,
// came to rely on it, or another cluster needs it, which then inherits what was found.
func (k *Kernel) dropSysctl(key string) error {
	notes, err := k.readSysctlNotes()
	if err != nil {
		return err
	}
	n, ok := notes[key]
	if !ok {
		return nil
	}
	own, kept, err := k.letGo(key, notes)
	switch {
	case err != nil:
	case !own:
		err = k.bequeath(key, n)
	case kept == "":
		err = sysctl.Write(key, n.Found)
	}
	if err != nil {
		return err
	}
	delete(notes, key)
	return k.writeSysctlNotes(notes)
}

var sysctlFamily = family{
	what:    "settings",
	observe: func(_ context.Context, k *Kernel, want, have *spec.Host) error { return k.observeSysctls(want, have) },
	diff: func(d *difference) {
		ofLinks, global := diffSysctls(d.want.Sysctls, d.have.Sysctls)
		d.put(global, leaving, serving)
		d.put(ofLinks, leaving, coming)
	},
	standsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Sysctls = slices.DeleteFunc(slices.Clone(have.Sysctls), func(s spec.Sysctl) bool { return s.Link != "" && vanish[s.Link] })
	},
	one: func(_ context.Context, a *applier, op Op) error {
		if want, ok := op.Want.(spec.Sysctl); ok {
			return a.k.setSysctl(want)
		}
		return a.k.dropSysctl(op.Have.(spec.Sysctl).Key)
	},
	implied: (*Kernel).wanted,
	tried: tried{claim: func(_ context.Context, k *Kernel, _ *spec.Host, ops []Op) ([]spec.Problem, error) {
		return k.claimSettings(ops), nil
	}},
	settle:  func(_ context.Context, k *Kernel, want *spec.Host) error { return k.settleSysctls(want) },
	remains: (*Kernel).sysctlRemains,
	shaken: func(k *Kernel, want, have *spec.Host) error {
		have.Sysctls = nil
		return k.observeSysctls(want, have)
	},
}

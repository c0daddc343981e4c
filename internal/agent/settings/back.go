//go:build linux

package settings

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// observeLetGo adds the settings that nobody wants any more to have: what they go back
// to, or for whom they stay.
func observeLetGo(k *host.Host, wanted map[string]bool, have *spec.Host) error {
	notes, err := readSysctlNotes(k)
	if err != nil {
		return err
	}
	k.Settings.Around = nil
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if wanted[key] {
			continue
		}
		n := notes[key]
		own, kept, err := letGo(k, key, notes)
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
func letGo(k *host.Host, key string, notes map[string]host.SettingNote) (own bool, kept string, err error) {
	n := notes[key]
	if own, err = restores(k, key, n); err != nil || !own {
		return false, "", err
	}
	if k.Settings.Around == nil {
		if k.Settings.Around, err = lookAround(k); err != nil {
			return false, "", err
		}
	}
	if sysctl.AcceptsRA(key) > 0 {
		if k.Settings.Around.Routes6, err = routes6(k, notes); err != nil {
			return false, "", err
		}
	}
	return true, k.Settings.Around.KeptFor(key, n.Set), nil
}

// routes6 says whether the server will go on to forward IPv6.
func routes6(k *host.Host, notes map[string]host.SettingNote) (bool, error) {
	value, err := sysctl.Read(sysctl.ForwardingIPv6)
	if err != nil || value != "1" {
		return false, err
	}
	own, kept, err := letGo(k, sysctl.ForwardingIPv6, notes)
	return !own || kept != "" || notes[sysctl.ForwardingIPv6].Found == "1", err
}

// restores says whether letting go of a setting means to decide about it: not when
// somebody changed it meanwhile, nor while another cluster needs it.
func restores(k *host.Host, key string, n host.SettingNote) (bool, error) {
	value, err := sysctl.Read(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || value != n.Set || n.Found == n.Set {
		return false, err
	}
	others, err := otherNotes(k)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(others, func(o clusterNotes) bool { _, ok := o.notes[key]; return ok }), nil
}

// dropSysctl lets go of a setting: what was found comes back, unless somebody changed it,
// came to rely on it, or another cluster needs it, which then inherits what was found.
func dropSysctl(k *host.Host, key string) error {
	notes, err := readSysctlNotes(k)
	if err != nil {
		return err
	}
	n, ok := notes[key]
	if !ok {
		return nil
	}
	own, kept, err := letGo(k, key, notes)
	switch {
	case err != nil:
	case !own:
		err = handOver(k, key, n)
	case kept == "":
		err = sysctl.Write(key, n.Found)
	}
	if err != nil {
		return err
	}
	delete(notes, key)
	return storeSysctlNotes(k, notes)
}

// Family is settings of the kernel.
var Family = family.Family{
	What: "settings",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		return observeSysctls(k, want, have)
	},
	Diff: func(d *family.Difference) {
		ofLinks, global := diffSysctls(d.Want.Sysctls, d.Have.Sysctls)
		d.Put(global, family.Leaving, family.Serving)
		d.Put(ofLinks, family.Leaving, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Sysctls = spec.Without(have.Sysctls, func(s spec.Sysctl) bool { return s.Link != "" && vanish[s.Link] })
	},
	One: func(_ context.Context, a *family.Applier, op family.Op) error {
		if want, ok := op.Want.(spec.Sysctl); ok {
			return setSysctl(a.Host, want)
		}
		return dropSysctl(a.Host, op.Have.(spec.Sysctl).Key)
	},
	Implied: impliedSettings,
	Tried: family.Tried{Claim: func(_ context.Context, k *host.Host, _ *spec.Host, ops []family.Op) ([]spec.Problem, error) {
		return claimSettings(k, ops), nil
	}},
	Finish:  func(_ context.Context, k *host.Host, want *spec.Host) error { return finishSysctls(k, want) },
	Remains: sysctlRemains,
	Shaken: func(k *host.Host, want, have *spec.Host) error {
		have.Sysctls = nil
		return observeSysctls(k, want, have)
	},
}

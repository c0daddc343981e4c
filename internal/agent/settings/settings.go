//go:build linux

package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

const (
	sysctlFile   = "sysctl.json"
	ipv6Settings = "net/ipv6/"
)

// impliedSettings is want with what follows from it on this server: a host that forwards
// IPv6 ignores router advertisements unless accept_ra is 2 (linux
// ip-sysctl.rst), and would lose its own default route.
func impliedSettings(k *host.Host, want *spec.Host) (*spec.Host, error) {
	if _, err := os.Stat("/proc/sys/" + ipv6Settings); errors.Is(err, fs.ErrNotExist) {
		out := *want
		out.Sysctls = withoutIPv6(want.Sysctls)
		return &out, nil
	}
	want = hearing(withoutNarrow(want))
	if !slices.ContainsFunc(want.Sysctls, func(s spec.Sysctl) bool { return s.Key == sysctl.ForwardingIPv6 }) {
		return want, nil
	}
	notes, err := readSysctlNotes(k)
	if err != nil {
		return nil, err
	}
	if err := k.ReadDevices(); err != nil {
		return nil, err
	}
	forwards, err := sysctl.Read(sysctl.ForwardingIPv6)
	if err != nil {
		return nil, err
	}
	out := *want
	out.Sysctls = slices.Clone(want.Sysctls)
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		key := "net/ipv6/conf/" + name + "/accept_ra"
		_, noted := notes[key]
		takes := noted
		if !noted && forwards != "1" {
			if takes, err = takesAdvertisements(k, k.Devices.ByName[name], key); err != nil {
				return nil, err
			}
		}
		if takes {
			out.Sysctls = append(out.Sysctls, spec.Sysctl{Key: key, Value: "2"})
		}
	}
	return &out, nil
}

// hearing adds that a bridge with the addresses of its port hears routers as that did, also
// where the server forwards.
func hearing(want *spec.Host) *spec.Host {
	out := want
	for i := range want.Links {
		l := &want.Links[i]
		if !l.Moves {
			continue
		}
		if value, err := sysctl.Read("net/ipv6/conf/" + l.Name + "/accept_ra"); err == nil && value != "0" {
			with := *out
			with.Sysctls = append(slices.Clip(out.Sysctls), spec.Sysctl{Key: "net/ipv6/conf/" + l.Master + "/accept_ra", Value: "2", Link: l.Master})
			out = &with
		}
	}
	return out
}

// withoutIPv6 leaves out what a kernel without IPv6 (ipv6.disable=1) has no links'
// settings for: what they switch off is off. A network that needs IPv6 fails by its
// global settings.
func withoutIPv6(list []spec.Sysctl) []spec.Sysctl {
	return spec.Without(list, func(s spec.Sysctl) bool {
		return s.Link != "" && strings.HasPrefix(s.Key, ipv6Settings)
	})
}

// ipv6MTU is the least MTU of a link that has IPv6 (RFC 8200, 5). The kernel takes
// IPv6 and its settings off a smaller one (addrconf_notify, linux 6.18).
const ipv6MTU = 1280

// withoutNarrow leaves out the IPv6 settings of links that are too narrow for it.
func withoutNarrow(want *spec.Host) *spec.Host {
	narrow := map[string]bool{}
	for _, l := range want.Links {
		if l.MTU > 0 && l.MTU < ipv6MTU {
			narrow[l.Name] = true
		}
	}
	if len(narrow) == 0 {
		return want
	}
	out := *want
	out.Sysctls = spec.Without(want.Sysctls, func(s spec.Sysctl) bool {
		return narrow[s.Link] && strings.HasPrefix(s.Key, ipv6Settings)
	})
	return &out
}

// takesAdvertisements says whether the device may have learned a router.
func takesAdvertisements(k *host.Host, l netlink.Link, key string) (bool, error) {
	if l.Attrs().Name == "lo" || host.Flocks(l) || l.Attrs().MasterIndex != 0 {
		return false, nil
	}
	if value, err := sysctl.Read(key); err != nil || value != "1" {
		return false, nil // a device without IPv6 has no such setting
	}
	return k.Uplink(l)
}

// observeSysctls reads the settings that want names and those that are to be
// restored. One that does not exist is left out.
func observeSysctls(k *host.Host, want, have *spec.Host) error {
	wanted := make(map[string]bool, len(want.Sysctls))
	for _, s := range want.Sysctls {
		wanted[s.Key] = true
		value, err := sysctl.Read(s.Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		have.Sysctls = append(have.Sysctls, spec.Sysctl{Key: s.Key, Value: value, Link: s.Link})
	}
	return observeLetGo(k, wanted, have)
}

// setSysctl writes a setting. What it was is on disk before.
func setSysctl(k *host.Host, s spec.Sysctl) error {
	if s.Link == "" {
		if err := noteSysctls(k, []spec.Sysctl{s}); err != nil {
			return err
		}
	}
	return sysctl.Write(s.Key, s.Value)
}

// noteSysctls remembers the values found of settings that are not noted yet.
func noteSysctls(k *host.Host, list []spec.Sysctl) error {
	notes, err := readSysctlNotes(k)
	if err != nil {
		return err
	}
	changed := false
	for _, s := range list {
		n, noted := notes[s.Key]
		if s.Link != "" || noted && n.Set == s.Value {
			continue
		}
		if !noted {
			found, err := sysctl.Read(s.Key)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			n.Found = found
		}
		n.Set = s.Value
		notes[s.Key], changed = n, true
	}
	if !changed && !k.Lost[sysctlFile] {
		return nil
	}
	return storeSysctlNotes(k, notes)
}

// handOver hands what was found before flock to another cluster that uses the
// setting, which took our value for the server's own.
func handOver(k *host.Host, key string, n host.SettingNote) error {
	others, err := otherNotes(k)
	if err != nil {
		return err
	}
	for _, o := range others {
		if heir, ok := o.notes[key]; ok && heir.Found == n.Set && heir.Found != n.Found {
			heir.Found = n.Found
			o.notes[key] = heir
			return writeSysctlNotes(o.dir, o.notes)
		}
	}
	return nil
}

// finishSysctls brings the notes in line with want when nothing is left to write.
func finishSysctls(k *host.Host, want *spec.Host) error {
	if err := noteSysctls(k, want.Sysctls); err != nil {
		return err
	}
	notes, err := readSysctlNotes(k)
	if err != nil {
		return err
	}
	for _, s := range want.Sysctls {
		delete(notes, s.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if err := dropSysctl(k, key); err != nil {
			return err
		}
	}
	return nil
}

type clusterNotes struct {
	dir   string
	notes map[string]host.SettingNote
}

// otherNotes reads the notes of the other clusters on this server. Of one whose notes are
// lost the settings count that its spec names.
func otherNotes(k *host.Host) ([]clusterNotes, error) {
	root := filepath.Dir(k.Dir())
	clusters, err := (host.Paths{Lib: root}).Clusters()
	if err != nil {
		return nil, err
	}
	var out []clusterNotes
	for _, cluster := range clusters {
		if cluster == filepath.Base(k.Dir()) {
			continue
		}
		o := clusterNotes{filepath.Join(root, cluster), map[string]host.SettingNote{}}
		if notes, _ := host.Recall(filepath.Join(o.dir, sysctlFile), soundSettings); notes != nil {
			o.notes = *notes
		} else if last := host.FilesAt(cluster, host.Paths{Lib: root}).Last(); last != nil {
			for _, s := range globals(last) {
				o.notes[s.Key] = host.SettingNote{Found: s.Value, Set: s.Value}
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// globals are the settings of h that are no link's.
func globals(h *spec.Host) []spec.Sysctl {
	return spec.Without(h.Sysctls, func(s spec.Sysctl) bool { return s.Link != "" })
}

func soundSettings(notes map[string]host.SettingNote) bool {
	for key, n := range notes {
		if !filepath.IsLocal(key) || n.Found == "" || n.Set == "" {
			return false
		}
	}
	return len(notes) > 0
}

// readSysctlNotes returns what is remembered, made anew if it was lost.
func readSysctlNotes(k *host.Host) (map[string]host.SettingNote, error) {
	if k.Settings.Notes != nil {
		return maps.Clone(k.Settings.Notes), nil
	}
	notes, damaged := host.Recall(filepath.Join(k.Dir(), sysctlFile), soundSettings)
	if damaged {
		k.Loses(sysctlFile)
	}
	if notes != nil {
		return *notes, nil
	}
	last := k.Last()
	forgotten, err := k.HasForgotten()
	missing := last != nil && len(globals(last)) > 0 && !k.Settings.Stored
	if err != nil || !damaged && !missing && (!forgotten || k.Settings.Stored) {
		return map[string]host.SettingNote{}, err
	}
	k.Loses(sysctlFile)
	k.Settings.Notes, err = settingsAnew(k, last)
	return maps.Clone(k.Settings.Notes), err
}

// settingsAnew is what can be told of settings whose notes are lost: those that last names,
// or else those that networks of ours need, were before us what the next boot would make
// them, without us.
func settingsAnew(k *host.Host, last *spec.Host) (map[string]host.SettingNote, error) {
	files, err := sysctl.BootSettings(k.Paths.Sysctls)
	if err != nil {
		return nil, err
	}
	boot := &sysctl.Others{Files: files}
	if err := k.ReadDevices(); err != nil {
		return nil, err
	}
	ours := []spec.Sysctl{{Key: sysctl.ForwardingIPv4, Value: "1"}, {Key: sysctl.ForwardingIPv6, Value: "1"}}
	if last != nil {
		ours = globals(last)
	}
	for name, l := range k.Devices.ByName {
		if uplink, err := k.Uplink(l); err == nil && uplink && !host.Flocks(l) && l.Attrs().MasterIndex == 0 {
			ours = append(ours, spec.Sysctl{Key: "net/ipv6/conf/" + name + "/accept_ra", Value: "2"})
		}
	}
	out := map[string]host.SettingNote{}
	for _, s := range ours {
		found := "0"
		if sysctl.AcceptsRA(s.Key) > 0 {
			found = "1"
		}
		if set, ok := boot.AtBoot(s.Key); ok {
			found = set.Value
		}
		value, err := sysctl.Read(s.Key)
		if err == nil && value == s.Value && value != found {
			out[s.Key] = host.SettingNote{Found: found, Set: value}
		}
	}
	return out, nil
}

func storeSysctlNotes(k *host.Host, notes map[string]host.SettingNote) error {
	if err := writeSysctlNotes(k.Dir(), notes); err != nil {
		return err
	}
	k.Settings.Notes, k.Settings.Stored = nil, true
	delete(k.Lost, sysctlFile)
	return nil
}

func writeSysctlNotes(dir string, notes map[string]host.SettingNote) error {
	path := filepath.Join(dir, sysctlFile)
	if len(notes) == 0 {
		return host.RemoveNote(path)
	}
	data, err := wire.Marshal(notes)
	if err == nil {
		err = sysfile.MakeDir(dir)
	}
	if err == nil {
		err = host.WriteNote(path, string(data)+"\n")
	}
	if err != nil {
		return fmt.Errorf("remember settings: %w", err)
	}
	return nil
}

func sysctlRemains(k *host.Host) ([]string, error) {
	notes, err := readSysctlNotes(k)
	var names []string
	for key := range notes {
		names = append(names, "sysctl "+key)
	}
	slices.Sort(names)
	return names, err
}

//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

const (
	procSys      = "/proc/sys"
	sysctlFile   = "sysctl.json"
	ipv6Settings = "net/ipv6/"
)

// sysctlNote remembers a global setting: what was found, what we made of it. A
// note is made for a setting that was right already too, so that another cluster
// that lets go of it knows that somebody still needs it.
type sysctlNote struct{ Found, Set string }

// wanted is want with what follows from it on this server: a host that forwards
// IPv6 ignores router advertisements unless accept_ra is 2 (linux
// ip-sysctl.rst), and would lose its own default route.
func (k *Kernel) wanted(want *spec.Host) (*spec.Host, error) {
	if _, err := os.Stat(filepath.Join(procSys, ipv6Settings)); errors.Is(err, fs.ErrNotExist) {
		out := *want
		out.Sysctls = withoutIPv6(want.Sysctls)
		return &out, nil
	}
	want = withoutNarrow(want)
	if !slices.ContainsFunc(want.Sysctls, func(s spec.Sysctl) bool { return s.Key == forwardingIPv6 }) {
		return want, nil
	}
	notes, err := k.readSysctlNotes()
	if err != nil {
		return nil, err
	}
	if err := k.readDevices(); err != nil {
		return nil, err
	}
	forwards, err := readSysctl(forwardingIPv6)
	if err != nil {
		return nil, err
	}
	out := *want
	out.Sysctls = slices.Clone(want.Sysctls)
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		key := "net/ipv6/conf/" + name + "/accept_ra"
		_, noted := notes[key]
		takes := noted
		if !noted && forwards != "1" {
			if takes, err = k.takesAdvertisements(k.devices.byName[name], key); err != nil {
				return nil, err
			}
		}
		if takes {
			out.Sysctls = append(out.Sysctls, spec.Sysctl{Key: key, Value: "2"})
		}
	}
	return &out, nil
}

// withoutIPv6 leaves out what a kernel without IPv6 (ipv6.disable=1) has no links'
// settings for: what they switch off is off. A network that needs IPv6 fails by its
// global settings.
func withoutIPv6(list []spec.Sysctl) []spec.Sysctl {
	return slices.DeleteFunc(slices.Clone(list), func(s spec.Sysctl) bool {
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
	out.Sysctls = slices.DeleteFunc(slices.Clone(want.Sysctls), func(s spec.Sysctl) bool {
		return narrow[s.Link] && strings.HasPrefix(s.Key, ipv6Settings)
	})
	return &out
}

// takesAdvertisements says whether the device may have learned a router.
func (k *Kernel) takesAdvertisements(l netlink.Link, key string) (bool, error) {
	if l.Attrs().Name == "lo" || flocks(l) || l.Attrs().MasterIndex != 0 {
		return false, nil
	}
	if value, err := readSysctl(key); err != nil || value != "1" {
		return false, nil // a device without IPv6 has no such setting
	}
	return k.uplink(l)
}

// observeSysctls reads the settings that want names and those that are to be
// restored. One that does not exist is left out.
func (k *Kernel) observeSysctls(want, have *spec.Host) error {
	wanted := make(map[string]bool, len(want.Sysctls))
	for _, s := range want.Sysctls {
		wanted[s.Key] = true
		value, err := readSysctl(s.Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		have.Sysctls = append(have.Sysctls, spec.Sysctl{Key: s.Key, Value: value, Link: s.Link})
	}
	return k.observeLetGo(wanted, have)
}

// setSysctl writes a setting. What it was is on disk before.
func (k *Kernel) setSysctl(s spec.Sysctl) error {
	if s.Link == "" {
		if err := k.noteSysctls([]spec.Sysctl{s}); err != nil {
			return err
		}
	}
	return writeSysctl(s.Key, s.Value)
}

// noteSysctls remembers the values found of settings that are not noted yet.
func (k *Kernel) noteSysctls(list []spec.Sysctl) error {
	notes, err := k.readSysctlNotes()
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
			found, err := readSysctl(s.Key)
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
	if !changed {
		return nil
	}
	return writeSysctlNotes(k.dir, notes)
}

// bequeath hands what was found before flock to another cluster that uses the
// setting, which took our value for the server's own.
func (k *Kernel) bequeath(key string, n sysctlNote) error {
	others, err := k.otherNotes()
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

// settleSysctls brings the notes in line with want when nothing is left to write.
func (k *Kernel) settleSysctls(want *spec.Host) error {
	if err := k.noteSysctls(want.Sysctls); err != nil {
		return err
	}
	notes, err := k.readSysctlNotes()
	if err != nil {
		return err
	}
	for _, s := range want.Sysctls {
		delete(notes, s.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if err := k.dropSysctl(key); err != nil {
			return err
		}
	}
	return nil
}

type clusterNotes struct {
	dir   string
	notes map[string]sysctlNote
}

// otherNotes reads the notes of the other clusters on this server.
func (k *Kernel) otherNotes() ([]clusterNotes, error) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(k.dir), "*", sysctlFile))
	if err != nil {
		return nil, err
	}
	var out []clusterNotes
	for _, f := range files {
		dir := filepath.Dir(f)
		if dir == k.dir {
			continue
		}
		notes, err := readSysctlNotes(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, clusterNotes{dir, notes})
	}
	return out, nil
}

func (k *Kernel) readSysctlNotes() (map[string]sysctlNote, error) { return readSysctlNotes(k.dir) }

func readSysctlNotes(dir string) (map[string]sysctlNote, error) {
	notes := map[string]sysctlNote{}
	path := filepath.Join(dir, sysctlFile)
	data, err := slurp(path)
	if errors.Is(err, fs.ErrNotExist) {
		return notes, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read remembered settings: %w", err)
	}
	if err := wire.Unmarshal(data, &notes); err != nil {
		return nil, fmt.Errorf("read remembered settings %s: %w", path, err)
	}
	return notes, nil
}

func writeSysctlNotes(dir string, notes map[string]sysctlNote) error {
	path := filepath.Join(dir, sysctlFile)
	if len(notes) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget settings: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(notes, "", "\t")
	if err != nil {
		return fmt.Errorf("remember settings: %w", err)
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("remember settings: %w", err)
	}
	if err := writeFile(path, string(data)+"\n", 0o600, true); err != nil {
		return fmt.Errorf("remember settings: %w", err)
	}
	return nil
}

func sysctlPath(key string) (string, error) {
	if !filepath.IsLocal(key) {
		return "", fmt.Errorf("setting %q is not below %s", key, procSys)
	}
	return filepath.Join(procSys, key), nil
}

// readSysctl returns a setting; several numbers stand apart by one space.
func readSysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	data, err := slurp(path)
	if err != nil {
		return "", fmt.Errorf("read setting: %w", err)
	}
	return strings.Join(strings.Fields(string(data)), " "), nil
}

func writeSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	return nil
}

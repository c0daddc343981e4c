//go:build linux

package wg

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// A WireGuard device's private key is made here and never leaves the server: it goes from
// a file that only root reads to the kernel, or to the device's own process through its
// socket. No error and no text of ours contains one.

const (
	keySuffix = ".key"     // the pair in use
	newSuffix = ".key.new" // the pair that an apply is to take up
)

// Keys are the key pairs of one cluster's devices on this server.
type Keys struct {
	dir     string
	damaged map[string]bool

	Former map[string]string // the name that a device had before, whose pair it takes
}

// NewKeys returns the keys whose files are in dir. The names of those that are found damaged
// are put in damaged, and taken out when they are written anew.
func NewKeys(dir string, damaged map[string]bool) *Keys { return &Keys{dir: dir, damaged: damaged} }

// Files are the paths of the key files of device, that of the key in use first.
func (k *Keys) Files(device string) []string {
	return []string{filepath.Join(k.dir, device+keySuffix), filepath.Join(k.dir, device+newSuffix)}
}

// Public makes a key pair for device unless it has one, with rotate a new pair beside the
// one in use, and returns its public half. A new pair that was never used is not made
// again. Made is the path of the file that was written, also if that failed half way, ""
// for none.
func (k *Keys) Public(device string, rotate bool) (public, made string, err error) {
	if !deviceName(device) {
		return "", "", fmt.Errorf("make a key: %q is not a device's name", device)
	}
	path := k.Files(device)[0]
	key, _, err := k.InUse(device)
	if err == nil && rotate && key != (wgtypes.Key{}) {
		path = k.Files(device)[1]
		key, _, err = readKey(path)
	}
	if err != nil {
		return "", "", err
	}
	if key != (wgtypes.Key{}) {
		return key.PublicKey().String(), "", nil
	}
	if key, err = k.fresh(device); err != nil {
		return "", "", fmt.Errorf("make the key of %s: %w", device, err)
	}
	if err := sysfile.MakeDir(k.dir); err != nil {
		return "", path, err
	}
	// Write makes the file with mode 0600 before anything is in it.
	if err := sysfile.Write(path, key.String()+"\n", 0o600, true); err != nil {
		return "", path, err
	}
	delete(k.damaged, filepath.Base(path))
	return key.PublicKey().String(), path, nil
}

// fresh is a key for a device that has none: a new one or, under a new name, that of before.
func (k *Keys) fresh(device string) (wgtypes.Key, error) {
	if former := k.Former[device]; deviceName(former) {
		if key, _, err := k.InUse(former); err != nil || key != (wgtypes.Key{}) {
			return key, err
		}
	}
	return wgtypes.GeneratePrivateKey()
}

// Existing returns the public keys of those of devices that have a pair, by device. It
// makes none.
func (k *Keys) Existing(devices []string) (map[string]string, error) {
	var out map[string]string
	for _, device := range devices {
		if !deviceName(device) {
			continue
		}
		key, _, err := k.InUse(device)
		if former := k.Former[device]; err == nil && key == (wgtypes.Key{}) && deviceName(former) {
			key, _, err = k.InUse(former)
		}
		if err != nil {
			return nil, err
		}
		if key != (wgtypes.Key{}) {
			if out == nil {
				out = map[string]string{}
			}
			out[device] = key.PublicKey().String()
		}
	}
	return out, nil
}

// deviceName says whether name can be a network device's (linux dev_valid_name).
func deviceName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= spec.IfNameMax && !strings.ContainsAny(name, "/: \t\n")
}

// readKey returns the zero key where there is no file, or none with a key in it.
func readKey(path string) (key wgtypes.Key, damaged bool, err error) {
	text, err := sysfile.ReadIfThere(path)
	if err != nil || text == "" {
		return wgtypes.Key{}, sysfile.Exists(path), err
	}
	if key, err = wgtypes.ParseKey(strings.TrimSpace(text)); err != nil {
		return wgtypes.Key{}, true, nil //nolint:nilerr // its words may quote the file
	}
	return key, false, nil
}

// InUse is the key that device has: by its file or, where that is lost, by the device
// itself. It is zero where neither has one. Stored says that it is in the file.
func (k *Keys) InUse(device string) (key wgtypes.Key, stored bool, err error) {
	path := k.Files(device)[0]
	key, damaged, err := readKey(path)
	if err != nil || key != (wgtypes.Key{}) {
		return key, err == nil, err
	}
	if _, err := net.InterfaceByName(device); err == nil {
		var devices Devices
		if d, err := devices.Device(device); err == nil {
			key = d.PrivateKey
		}
		err = devices.Close()
		damaged = damaged || key != (wgtypes.Key{})
		if err != nil {
			return key, false, err
		}
	}
	if damaged {
		k.damaged[filepath.Base(path)] = true
	}
	return key, false, nil
}

// Private returns the private key of device whose public half is public. A hint says what to
// do where it is not on this server.
func (k *Keys) Private(device, public string) (wgtypes.Key, error) {
	now, _, err := k.InUse(device)
	if err != nil {
		return wgtypes.Key{}, err
	}
	next, _, err := readKey(k.Files(device)[1])
	if err != nil {
		return wgtypes.Key{}, err
	}
	for _, key := range []wgtypes.Key{now, next} {
		if key != (wgtypes.Key{}) && key.PublicKey().String() == public {
			return key, nil
		}
	}
	return wgtypes.Key{}, hint.Errorf("", "flock apply makes a new pair", "the private key of %s to %s is not on this server", device, spec.ShortKey(public))
}

// Finish brings the key files in line with a confirmed spec: a new pair that it names
// becomes the one in use, and keys of devices that it does not name are removed.
func (k *Keys) Finish(h *spec.Host) error {
	used := map[string]bool{}
	for _, l := range h.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		files := k.Files(l.Name)
		used[files[0]] = true
		next, _, err := readKey(files[1])
		if err != nil {
			return err
		}
		if next != (wgtypes.Key{}) && next.PublicKey().String() == l.Key {
			if err := os.Rename(files[1], files[0]); err != nil {
				return fmt.Errorf("take up the new key of %s: %w", l.Name, err)
			}
			if err := sysfile.SyncDir(k.dir); err != nil {
				return err
			}
		} else if err := k.store(l.Name); err != nil {
			return err
		}
	}
	all, err := k.All()
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range all {
		if !used[path] {
			errs = append(errs, sysfile.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// store writes the key that device has into its file if that was lost.
func (k *Keys) store(device string) error {
	key, stored, err := k.InUse(device)
	if err != nil || stored || key == (wgtypes.Key{}) {
		return err
	}
	path := k.Files(device)[0]
	if err := sysfile.Write(path, key.String()+"\n", 0o600, true); err != nil {
		return err
	}
	delete(k.damaged, filepath.Base(path))
	return nil
}

// All lists the paths of the key files, by the ends of their names: a network may be called
// x.key, and its DHCP's files are named after it.
func (k *Keys) All() ([]string, error) {
	names, err := sysfile.Names(k.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var out []string
	for _, name := range names {
		if strings.HasSuffix(name, keySuffix) || strings.HasSuffix(name, newSuffix) {
			out = append(out, filepath.Join(k.dir, name))
		}
	}
	return out, nil
}

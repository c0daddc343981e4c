//go:build linux

package agent

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

// A WireGuard device's private key is made here and never leaves: it goes from a
// file that only root reads to the kernel, or to the device's own process through
// its socket. No error and no text of ours contains one.

const (
	keySuffix = ".key"     // the pair in use
	newSuffix = ".key.new" // the pair that an apply is to take up
)

// keyFiles are the paths of device's keys, the one in use first.
func (s *services) keyFiles(device string) []string {
	return []string{filepath.Join(s.dir(), device+keySuffix), filepath.Join(s.dir(), device+newSuffix)}
}

// publicKey sees to it that device has a key pair, with rotate a new one beside
// the one in use, and returns its public half. A new pair that was never taken up
// is as good as another. Made is the file that was written, also where that failed half way,
// "" for none.
func (s *services) publicKey(device string, rotate bool) (public, made string, err error) {
	if !deviceName(device) {
		return "", "", fmt.Errorf("make a key: %q is not a device's name", device)
	}
	path := s.keyFiles(device)[0]
	key, _, err := s.inUse(device)
	if err == nil && rotate && key != (wgtypes.Key{}) {
		path = s.keyFiles(device)[1]
		key, _, err = readKey(path)
	}
	if err != nil {
		return "", "", err
	}
	if key != (wgtypes.Key{}) {
		return key.PublicKey().String(), "", nil
	}
	if key, err = wgtypes.GeneratePrivateKey(); err != nil {
		return "", "", fmt.Errorf("make the key of %s: %w", device, err)
	}
	if err := sysfile.MakeDir(s.dir()); err != nil {
		return "", path, err
	}
	// writeFile makes the file with mode 0600 before anything is in it.
	if err := sysfile.Write(path, key.String()+"\n", 0o600, true); err != nil {
		return "", path, err
	}
	delete(s.lost, filepath.Base(path))
	return key.PublicKey().String(), path, nil
}

// keys answers with public keys, of pairs that are made where there are none.
func (s *session) keys(r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, device := range r.Keys {
		public, made, err := k.services.publicKey(device, r.Rotate)
		if made != "" {
			s.made[made] = device
		}
		if err != nil {
			return nil, err
		}
		out[device] = public
	}
	return &spec.Reply{Keys: out}, nil
}

// keysThere are the public keys of those of devices that have a pair; none is made.
func (s *services) keysThere(devices []string) (map[string]string, error) {
	var out map[string]string
	for _, device := range devices {
		if !deviceName(device) {
			continue
		}
		key, _, err := s.inUse(device)
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

// dropKeys removes the pairs of this session that came to nothing, so that a plan
// leaves no trace.
func (s *session) dropKeys() error {
	var errs []error
	for path := range s.made {
		errs = append(errs, sysfile.Remove(path), sysfile.RemoveEmpty(filepath.Dir(path), s.paths.lib))
	}
	return errors.Join(errs...)
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

// inUse is the key of device that its file says, or else, where that is lost, that the
// device itself has.
func (s *services) inUse(device string) (key wgtypes.Key, kept bool, err error) {
	path := s.keyFiles(device)[0]
	key, damaged, err := readKey(path)
	if err != nil || key != (wgtypes.Key{}) {
		return key, err == nil, err
	}
	if _, err := net.InterfaceByName(device); err == nil {
		var devices wgDevices
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
		s.loses(filepath.Base(path))
	}
	return key, false, nil
}

// privateKey is the one whose public half is public.
func (s *services) privateKey(device, public string) (wgtypes.Key, error) {
	now, _, err := s.inUse(device)
	if err != nil {
		return wgtypes.Key{}, err
	}
	next, _, err := readKey(s.keyFiles(device)[1])
	if err != nil {
		return wgtypes.Key{}, err
	}
	for _, key := range []wgtypes.Key{now, next} {
		if key != (wgtypes.Key{}) && key.PublicKey().String() == public {
			return key, nil
		}
	}
	return wgtypes.Key{}, hint.Errorf("", "flock apply makes a new pair", "the private key of %s to %s is not on this server", device, short(public))
}

// settleKeys brings the key files in line with a confirmed spec: a new pair that it
// names is the one in use, and what it does not name is gone.
func (s *services) settleKeys(h *spec.Host) error {
	used := map[string]bool{}
	for _, l := range h.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		files := s.keyFiles(l.Name)
		used[files[0]] = true
		next, _, err := readKey(files[1])
		if err != nil {
			return err
		}
		if next != (wgtypes.Key{}) && next.PublicKey().String() == l.Key {
			if err := os.Rename(files[1], files[0]); err != nil {
				return fmt.Errorf("take up the new key of %s: %w", l.Name, err)
			}
			if err := sysfile.SyncDir(s.dir()); err != nil {
				return err
			}
		} else if err := s.keepKey(l.Name); err != nil {
			return err
		}
	}
	all, err := s.allKeys()
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

// keepKey puts the key that device has into its file, if that was lost.
func (s *services) keepKey(device string) error {
	key, kept, err := s.inUse(device)
	if err != nil || kept || key == (wgtypes.Key{}) {
		return err
	}
	path := s.keyFiles(device)[0]
	if err := sysfile.Write(path, key.String()+"\n", 0o600, true); err != nil {
		return err
	}
	delete(s.lost, filepath.Base(path))
	return nil
}

// allKeys lists the key files of this cluster, by their ends: a network may be called
// x.key, and files of its DHCP after it.
func (s *services) allKeys() ([]string, error) {
	names, err := sysfile.Names(s.dir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var out []string
	for _, name := range names {
		if strings.HasSuffix(name, keySuffix) || strings.HasSuffix(name, newSuffix) {
			out = append(out, filepath.Join(s.dir(), name))
		}
	}
	return out, nil
}

//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// services is the part of a server that lives in files and processes: dnsmasq,
// systemd units, drop-ins for other network daemons. Files of ours say in their
// first line whose they are; whole files are compared, byte by byte.
type services struct {
	cluster string
	paths   paths
	// inherited are leases for networks that this server serves from now on, or
	// again, by network: the text of dnsmasq's lease file.
	inherited map[string]string
	secrets   map[string]string // passwords that came with the request, by id
	untouched []string          // networks in which no server ever handed out, by the request
	lost      map[string]bool   // notes that were found damaged, by name
	confirmed struct {          // what last read last
		text string
		host *spec.Host
	}
}

// paths are the directories that services uses: other ones in tests.
type paths struct {
	lib     string // one directory per cluster below it
	run     string // what does not outlive a reboot
	units   string // systemd's units
	network string // systemd-networkd's .network files
	nm      string // NetworkManager's conf.d
	systemd string // exists where systemd is the init
	netif   string // exists where systemd-networkd has run since boot; its directory always does (tmpfiles.d)
	nmRun   string // exists where NetworkManager has run since boot

	sysctls []string // sysctl.d(5), those that hold first first; sysctl.conf is beside the first
}

func serverPaths() paths {
	return paths{
		lib: stateDir, run: runDir, units: "/etc/systemd/system",
		network: "/etc/systemd/network", nm: "/etc/NetworkManager/conf.d",
		systemd: "/run/systemd/system", netif: "/run/systemd/netif/state", nmRun: "/run/NetworkManager",
		sysctls: []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"},
	}
}

func newServices(cluster string) *services { return &services{cluster: cluster, paths: serverPaths()} }

// left names the files and units of this cluster, without the memory of what
// was confirmed and of the settings that were found.
func (s *services) left() ([]string, error) {
	all, err := s.processFiles()
	if err != nil {
		return nil, err
	}
	units, err := s.ourUnits()
	if err != nil {
		return nil, err
	}
	for _, path := range s.dropIns() {
		if mark, err := markOf(path); err != nil {
			return nil, err
		} else if mark == s.cluster {
			all = append(all, path)
		}
	}
	envs, err := s.ourEnvs()
	if err != nil {
		return nil, err
	}
	for _, network := range envs {
		all = append(all, filepath.Join(s.paths.run, network, subnetEnv))
	}
	return append(all, units...), nil
}

func (s *services) dir() string { return filepath.Join(s.paths.lib, s.cluster) }

// runDir has a suffix that no cluster's name has: a cluster may be called lock.
func (s *services) runDir() string { return filepath.Join(s.paths.run, s.cluster+".d") }

// makeDirs makes this cluster's directories.
func (s *services) makeDirs() error { return errors.Join(makeDir(s.dir()), makeDir(s.runDir())) }

// processFiles lists the paths of what daemons of this cluster have here, those of the
// BGP daemon aside. Keys of WireGuard devices, whatever those are called, are not of it.
func (s *services) processFiles() ([]string, error) {
	var out []string
	for _, dir := range []string{s.dir(), s.runDir()} {
		names, err := namesIn(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			if dhcpNetworkOf(name) != "" || dir == s.runDir() && strings.HasSuffix(name, pidSuffix) {
				out = append(out, filepath.Join(dir, name))
			}
		}
	}
	return out, nil
}

// filesIn lists the paths of what is in dir, which need not be there, by how the names
// begin and end. It does without what filepath.Glob asks besides.
func filesIn(dir, begin, end string) ([]string, error) {
	names, err := namesIn(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, begin); ok && strings.HasSuffix(rest, end) {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, nil
}

const markPrefix, specPrefix = "# flock: ", "# spec: "

// markOf returns the ownership mark in a file's first line: CLUSTER/NETWORK or
// CLUSTER; "" where there is no such file or mark.
func markOf(path string) (string, error) {
	text, err := readIfThere(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(text, "\n")
	mark, ours := strings.CutPrefix(line, markPrefix)
	if !ours {
		return "", nil
	}
	return mark, nil
}

// specOf returns what follows "# spec: " in text.
func specOf(text string) string {
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(line, specPrefix); ok {
			return strings.TrimSuffix(s, "\n")
		}
	}
	return ""
}

// noText is what readIfThere reads where no file is that can be read: nothing that we write
// is like it, so that it is written anew.
const noText = "\x00"

// readIfThere returns the content of a file, "" where there is none, and noText where a
// directory, a link to itself or a socket is in its place.
func readIfThere(path string) (string, error) {
	data, err := slurp(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return noText, nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(data), nil
}

// writeIfOther writes text to path unless that is what is there, and says
// whether it did.
func writeIfOther(path, text string, mode os.FileMode) (bool, error) {
	have, err := readIfThere(path)
	if err != nil || have == text {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make directory: %w", err)
	}
	return true, writeFile(path, text, mode, false)
}

// writeFile replaces path in one step: a reader finds the old content or the new.
// Durable adds: after a power cut too, and the new once it returns. What the next
// boot would write again needs no waiting for the disk.
func writeFile(path, text string, mode os.FileMode, durable bool) error {
	temp, err := spill(filepath.Dir(path), text, mode, durable)
	if err == nil {
		if err = os.Rename(temp, path); errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EEXIST) { // a directory in the place of a file of ours
			err = errors.Join(os.RemoveAll(path), os.Rename(temp, path))
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeAll(temp))
	}
	if durable {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// removeAll removes files, those that are there.
func removeAll(paths ...string) error {
	var errs []error
	for _, path := range paths {
		err := os.Remove(path)
		if errors.Is(err, unix.ENOTEMPTY) { // a directory in the place of a file of ours
			err = os.RemoveAll(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove file: %w", err))
		}
	}
	return errors.Join(errs...)
}

// exists says whether path is there, or may be: what cannot be looked at is not taken for
// missing, and whoever reads or removes it next says why.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR)
}

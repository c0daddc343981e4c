//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// services is the part of a server that lives in files and processes: dnsmasq,
// systemd units, drop-ins for other network daemons. Files of ours say in their
// first line whose they are; whole files are compared, byte by byte.
type services struct {
	cluster string
	paths   paths
	units   *unit.Cluster
	// inherited are leases for networks that this server serves from now on, or
	// again, by network: the text of dnsmasq's lease file.
	inherited map[string]string
	secrets   map[string]string // passwords that came with the request, by id
	untouched []string          // networks in which no server ever handed out, by the request
	lost      map[string]bool   // notes that were found damaged, by name
	keys      *wg.Keys
	confirmed struct { // what last read last
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

func newServices(cluster string) *services { return servicesAt(cluster, serverPaths()) }

func servicesAt(cluster string, p paths) *services {
	s := &services{cluster: cluster, paths: p, lost: map[string]bool{}}
	s.units = unit.New(cluster, p.units, p.systemd, s.runDir())
	s.keys = wg.NewKeys(s.dir(), s.lost)
	return s
}

// left names the files and units of this cluster, without the memory of what
// was confirmed and of the settings that were found.
func (s *services) left() ([]string, error) {
	var all []string
	for _, part := range []func() ([]string, error){s.daemonRemains, s.dropInRemains, s.envRemains} {
		names, err := part()
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	return all, nil
}

// daemonRemains names files and units of daemons, whatever they do.
func (s *services) daemonRemains() ([]string, error) {
	files, err := s.processFiles()
	if err != nil {
		return nil, err
	}
	units, err := s.units.Ours()
	return append(files, units...), err
}

// dropInRemains names the drop-ins of network daemons.
func (s *services) dropInRemains() ([]string, error) {
	var out []string
	for _, path := range s.dropIns() {
		mark, err := sysfile.Mark(path)
		if err != nil {
			return nil, err
		}
		if mark == s.cluster {
			out = append(out, path)
		}
	}
	return out, nil
}

// envRemains names subnet.env files.
func (s *services) envRemains() ([]string, error) {
	networks, err := s.ourEnvs()
	var out []string
	for _, network := range networks {
		out = append(out, filepath.Join(s.paths.run, network, subnetEnv))
	}
	return out, err
}

func (s *services) dir() string { return filepath.Join(s.paths.lib, s.cluster) }

// runDir has a suffix that no cluster's name has: a cluster may be called lock.
func (s *services) runDir() string { return filepath.Join(s.paths.run, s.cluster+".d") }

// makeDirs makes this cluster's directories.
func (s *services) makeDirs() error {
	return errors.Join(sysfile.MakeDir(s.dir()), sysfile.MakeDir(s.runDir()))
}

// processFiles lists the paths of what daemons of this cluster have here, those of the
// BGP daemon aside. Keys of WireGuard devices, whatever those are called, are not of it.
func (s *services) processFiles() ([]string, error) {
	var out []string
	for _, dir := range []string{s.dir(), s.runDir()} {
		names, err := sysfile.Names(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			if dhcpNetworkOf(name) != "" || dir == s.runDir() && strings.HasSuffix(name, unit.PIDSuffix) {
				out = append(out, filepath.Join(dir, name))
			}
		}
	}
	return out, nil
}

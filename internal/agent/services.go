//go:build linux

package agent

import (
	"errors"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// Files is one cluster's part of a server that is in files and processes. Files of ours
// say in their first line whose they are; whole files are compared, byte by byte.
type Files struct {
	cluster string
	paths   paths
	units   *unit.Cluster
	keys    *wg.Keys
	lost    map[string]bool // notes that were found damaged, by name
	// inherited are leases for networks that this server serves from now on, or
	// again, by network: the text of dnsmasq's lease file.
	inherited map[string]string
	secrets   map[string]string // passwords that came with the request, by id
	untouched []string          // networks in which no server ever handed out, by the request
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

func newFiles(cluster string) *Files { return filesAt(cluster, serverPaths()) }

func filesAt(cluster string, p paths) *Files {
	s := &Files{cluster: cluster, paths: p, lost: map[string]bool{}}
	s.units = unit.New(cluster, p.units, p.systemd, s.runDir())
	s.keys = wg.NewKeys(s.dir(), s.lost)
	return s
}

func (s *Files) dir() string { return filepath.Join(s.paths.lib, s.cluster) }

// runDir has a suffix that no cluster's name has: a cluster may be called lock.
func (s *Files) runDir() string { return filepath.Join(s.paths.run, s.cluster+".d") }

// makeDirs makes this cluster's directories.
func (s *Files) makeDirs() error {
	return errors.Join(sysfile.MakeDir(s.dir()), sysfile.MakeDir(s.runDir()))
}

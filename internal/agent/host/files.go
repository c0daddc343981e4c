//go:build linux

package host

import (
	"errors"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/dhcp"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// Files is one cluster's part of a server that is in files and processes. Files of ours
// say in their first line whose they are; whole files are compared, byte by byte.
type Files struct {
	Cluster   string
	Paths     Paths
	Units     *unit.Cluster
	Keys      *wg.Keys
	DHCP      *dhcp.Server
	Lost      map[string]bool   // notes that were found damaged, by name
	Secrets   map[string]string // passwords that came with the request, by id
	Copy      string            // the cluster file as it came with the request; "": it did not
	confirmed struct {          // what Last read last
		file sysfile.Version
		host *spec.Host
	}
	sent     *spec.Host // what came last from the workstation
	sentText []byte     // its JSON, and what followed
}

// Paths are the directories of a server that are written to: other ones in tests.
type Paths struct {
	Lib     string // one directory per cluster below it
	Run     string // what does not outlive a reboot
	Units   string // systemd's units
	Network string // systemd-networkd's .network files
	NM      string // NetworkManager's conf.d
	Systemd string // exists where systemd is the init
	Netif   string // exists where systemd-networkd has run since boot; its directory always does (tmpfiles.d)
	NMRun   string // exists where NetworkManager has run since boot

	Firewalld string // the zones of firewalld; exists where that is installed
	UFW       string // configuration of ufw

	Sysctls []string // sysctl.d(5), those that hold first first; sysctl.conf is beside the first
}

// ServerPaths are those of a server.
func ServerPaths() Paths {
	return Paths{
		Lib: stateDir, Run: runDir, Units: "/etc/systemd/system",
		Network: "/etc/systemd/network", NM: "/etc/NetworkManager/conf.d",
		Systemd: "/run/systemd/system", Netif: "/run/systemd/netif/state", NMRun: "/run/NetworkManager",
		Firewalld: "/etc/firewalld/zones", UFW: "/etc/ufw",
		Sysctls: []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"},
	}
}

// LockPath is the server's lock: one for all clusters.
func (p Paths) LockPath() string { return filepath.Join(p.Run, lockFile) }

// NewFiles returns what cluster has on this server.
func NewFiles(cluster string) *Files { return FilesAt(cluster, ServerPaths()) }

// FilesAt is NewFiles where the directories are others.
func FilesAt(cluster string, p Paths) *Files {
	s := &Files{Cluster: cluster, Paths: p, Lost: map[string]bool{}}
	s.Units = unit.New(cluster, p.Units, p.Systemd, s.RunDir())
	s.Keys = wg.NewKeys(s.Dir(), s.Lost)
	s.DHCP = dhcp.New(cluster, s.Dir(), s.RunDir(), s.Units)
	return s
}

// SubnetEnv is a file that a network of any cluster may have in a directory of its name
// beside ours.
const SubnetEnv = "subnet.env"

// Dir is where the cluster remembers what outlives a reboot.
func (s *Files) Dir() string { return filepath.Join(s.Paths.Lib, s.Cluster) }

// RunDir is where it has what does not. It has a suffix that no cluster's name has: a
// cluster may be called lock.
func (s *Files) RunDir() string { return filepath.Join(s.Paths.Run, s.Cluster+".d") }

// MakeDirs makes this cluster's directories.
func (s *Files) MakeDirs() error {
	return errors.Join(sysfile.MakeDir(s.Dir()), sysfile.MakeDir(s.RunDir()))
}

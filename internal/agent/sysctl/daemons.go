//go:build linux

package sysctl

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
)

// NetworkDaemons are programs that make bridges and rules whenever somebody wants a
// network of them, and of which one runs in this network namespace.
func NetworkDaemons() ([]string, error) {
	known := []string{"dockerd", "libvirtd", "virtnetworkd", "lxd", "incusd", "kubelet", "k3s-server", "k3s-agent", "podman"}
	pids, own, err := unit.Processes()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, pid := range pids {
		comm, err := sysfile.Read("/proc/" + pid + "/comm")
		name := strings.TrimSpace(string(comm))
		if err != nil || !slices.Contains(known, name) || slices.Contains(out, name) {
			continue // or it has just ended
		}
		if unit.SharesNetwork(pid, own) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

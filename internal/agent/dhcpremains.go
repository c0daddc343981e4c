//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
)

// daemonRemains names files and units of daemons, whatever they do.
func (s *services) daemonRemains() ([]string, error) {
	files, err := s.processFiles()
	if err != nil {
		return nil, err
	}
	units, err := s.Units.Ours()
	return append(files, units...), err
}

// processFiles lists the paths of what daemons of this cluster have here, those of the
// BGP daemon aside. Keys of WireGuard devices, whatever those are called, are not of it.
func (s *services) processFiles() ([]string, error) {
	var out []string
	for _, dir := range []string{s.Dir(), s.RunDir()} {
		names, err := sysfile.Names(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			if dhcpNetworkOf(name) != "" || dir == s.RunDir() && strings.HasSuffix(name, unit.PIDSuffix) {
				out = append(out, filepath.Join(dir, name))
			}
		}
	}
	return out, nil
}

// endStrays ends every dnsmasq of the cluster where nothing tells any more which there are.
func endStrays(ctx context.Context, k *host.Host) error {
	if forgotten, err := k.HasForgotten(); err != nil || !forgotten {
		return err
	}
	ours := func(args []string) bool {
		return len(args) >= 2 && filepath.Base(args[0]) == "dnsmasq" && strings.HasPrefix(args[1], "--conf-file="+k.Dir()+"/")
	}
	for {
		pid, err := unit.FindProcess("", ours)
		if err != nil || pid == 0 {
			return err
		}
		if err := unit.EndProcess(ctx, "dnsmasq", pid); err != nil {
			return err
		}
	}
}

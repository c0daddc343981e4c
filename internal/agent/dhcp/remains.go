//go:build linux

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
)

// Remains names files and units of daemons, whatever they do.
func (s *Server) Remains() ([]string, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	units, err := s.units.Ours()
	return append(files, units...), err
}

// files lists the paths of what daemons of this cluster have here, those of the
// BGP daemon aside. Keys of WireGuard devices, whatever those are called, are not of it.
func (s *Server) files() ([]string, error) {
	var out []string
	for _, dir := range []string{s.has.Dir, s.has.Run} {
		names, err := sysfile.Names(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files: %w", err)
		}
		for _, name := range names {
			if networkOf(name) != "" || dir == s.has.Run && strings.HasSuffix(name, unit.PIDSuffix) {
				out = append(out, filepath.Join(dir, name))
			}
		}
	}
	return out, nil
}

// EndStrays ends every dnsmasq of the cluster, for when nothing tells any more which there
// are.
func (s *Server) EndStrays(ctx context.Context) error {
	ours := func(args []string) bool {
		return len(args) >= 2 && filepath.Base(args[0]) == "dnsmasq" && strings.HasPrefix(args[1], "--conf-file="+s.has.Dir+"/")
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

//go:build linux

package dropin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// A subnet.env lies below /run, in a directory that bears the network's name alone:
// what reads it (flannel's CNI plugin, scripts) is configured with the path. It goes
// with a reboot and comes back with the last spec.

func envPath(s *host.Files, network string) string {
	return filepath.Join(s.Paths.Run, network, host.SubnetEnv)
}

// ourEnvs lists the networks of this cluster that have a file.
func ourEnvs(s *host.Files) ([]string, error) {
	networks, err := sysfile.Names(s.Paths.Run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list files: %w", err)
	}
	var out []string
	slices.Sort(networks)
	for _, network := range networks {
		path := filepath.Join(s.Paths.Run, network, host.SubnetEnv)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		mark, err := sysfile.Mark(path)
		if err != nil {
			return nil, err
		}
		if mark == s.Cluster+"/"+network {
			out = append(out, network)
		}
	}
	return out, nil
}

// observeEnvs fills in have.Envs. A file that was changed by hand counts as one
// that says nothing.
func observeEnvs(s *host.Files, have *spec.Host) error {
	ours, err := ourEnvs(s)
	if err != nil {
		return err
	}
	for _, network := range ours {
		text, err := sysfile.ReadIfThere(envPath(s, network))
		if err != nil {
			return err
		}
		e := spec.SubnetEnv{}
		if wire.Unmarshal([]byte(sysfile.Spec(text)), &e) != nil || e.Network != network || len(e.Subnets) < len(e.Pools) {
			e = spec.SubnetEnv{Network: network}
		}
		if full, err := written.Env(s.Cluster, e); err != nil || full != text {
			e = spec.SubnetEnv{Network: network}
		}
		have.Envs = append(have.Envs, e)
	}
	return nil
}

// claimEnvs says where a file stands that is not this cluster's.
func claimEnvs(s *host.Files, want *spec.Host) ([]spec.Problem, error) {
	var out []spec.Problem
	for _, e := range want.Envs {
		path := envPath(s, e.Network)
		if info, err := os.Lstat(filepath.Dir(path)); err == nil && !info.IsDir() { // a network called lock
			out = append(out, spec.Problem{What: filepath.Dir(path) + " is a file", Next: "flock setnetwork " + e.Network + " --rename NAME"})
			continue
		}
		mark, err := sysfile.Mark(path)
		if err != nil {
			return nil, err
		}
		if !sysfile.Exists(path) || mark == s.Cluster+"/"+e.Network {
			continue
		}
		whose := "flock did not write it"
		if cluster, _, ok := strings.Cut(mark, "/"); ok {
			whose = "it belongs to cluster " + cluster
		}
		out = append(out, spec.Problem{What: path + " is there already, " + whose, Next: "flock setnetwork " + e.Network + " --rename NAME"})
	}
	return out, nil
}

func setEnv(s *host.Files, e spec.SubnetEnv) error {
	text, err := written.Env(s.Cluster, e)
	if err != nil {
		return err
	}
	_, err = sysfile.WriteIfOther(envPath(s, e.Network), text, 0o644)
	return err
}

func removeEnv(s *host.Files, network string) error {
	path := envPath(s, network)
	return errors.Join(sysfile.Remove(path), sysfile.RemoveEmpty(filepath.Dir(path)))
}

// EnvFamily is subnet.env files.
var EnvFamily = family.Family{
	What:    "services: look at subnet.env files",
	Observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error { return observeEnvs(k.Files, have) },
	Diff: func(d *family.Difference) {
		key := func(e spec.SubnetEnv) string { return e.Network }
		d.Put(family.Compare(d.Want.Envs, d.Have.Envs, key, func(e spec.SubnetEnv) string { return "subnet.env " + e.Network }), family.Going, family.Serving)
	},
	One: func(_ context.Context, a *family.Applier, op family.Op) error {
		if want, ok := op.Want.(spec.SubnetEnv); ok {
			return setEnv(a.Host.Files, want)
		}
		return removeEnv(a.Host.Files, op.Have.(spec.SubnetEnv).Network)
	},
	Tried: family.Tried{
		Files: func(s *host.Files, _ family.Op) ([]string, bool) { return []string{s.Paths.Run}, false },
		Claim: func(_ context.Context, k *host.Host, want *spec.Host, _ []family.Op) ([]spec.Problem, error) {
			return claimEnvs(k.Files, want)
		},
	},
	Apart:   true,
	Marked:  true,
	Remains: func(k *host.Host) ([]string, error) { return envRemains(k.Files) },
}

// envRemains names subnet.env files.
func envRemains(s *host.Files) ([]string, error) {
	networks, err := ourEnvs(s)
	var out []string
	for _, network := range networks {
		out = append(out, filepath.Join(s.Paths.Run, network, host.SubnetEnv))
	}
	return out, err
}

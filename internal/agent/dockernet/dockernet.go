//go:build linux

package dockernet

import (
	"context"
	_ "embed" // of the script
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// script asks Docker and Podman by their own programs. As a client of Docker's socket and
// writer of Podman's files, this program would be five times as large. Its remarks are here, and take no
// room in the program: VERB CLUSTER DIR [NETWORK [OPTION VALUE]...], networks of Docker's and Podman's on
// bridges of ours.
//
//   - list: NETWORK OPTIONS, those of CLUSTER; or "none" where neither program is there.
//   - try: WHAT|NEXT, what is in the way of NETWORK being so, or being gone without OPTIONS; others_docker
//     says so of a network of somebody else.
//   - set: makes it so. In DIR it is noted what was made: one that does not run cannot be asked.
//
// Who does not run (runs) is not asked: systemd would start it for that (docker.socket). Who hangs is not
// waited for (ask). A network of Podman's is a file, netavark's or CNI's: podman-network-create(1) makes none
// on a bridge that is there.
//
//go:embed dockernet.sh
var script string

// run is what the script says to a verb about a network with options.
func run(ctx context.Context, k *host.Host, verb, network, options string) (string, error) {
	args := []string{"-c", script, "dockernet", verb, k.Cluster, k.Dir()}
	if network != "" {
		args = append(append(args, network), strings.Fields(options)...)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	cmd.WaitDelay = time.Second // what it asks may have its output still
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("network %s of Docker or Podman: %s", network, strings.Join(strings.Fields(string(failed.Stderr)), " "))
	}
	return string(out), err
}

// names are the networks of an op: that which goes, and that which comes.
func names(op family.Op) (network, options string) {
	if want, ok := op.Want.(spec.DockerNet); ok {
		return want.Network, want.Options
	}
	return op.Have.(spec.DockerNet).Network, ""
}

// noted says whether the script has noted that it made a network.
func noted(k *host.Host) bool {
	files, _ := os.ReadDir(k.Dir()) // without it nothing was made
	return slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), "dockernet-") })
}

// observe fills in have.Dockers. Where there is no Docker and no Podman, and none was asked
// for, what is wanted is as good as there, and awaited.
func observe(ctx context.Context, k *host.Host, want, have *spec.Host) error {
	if len(want.Dockers) == 0 && !noted(k) {
		return nil
	}
	out, err := run(ctx, k, "list", "", "")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		d := spec.DockerNet{}
		d.Network, d.Options, _ = strings.Cut(strings.TrimSpace(line), " ")
		for _, w := range want.Dockers {
			switch {
			case d.Options == "" && !w.Asked:
				have.Dockers = append(have.Dockers, w)
				k.Awaited = append(k.Awaited, w.Object())
			case w.Network == d.Network:
				d.Asked = w.Asked
			}
		}
		if d.Options != "" {
			have.Dockers = append(have.Dockers, d)
		}
	}
	return nil
}

// Family are networks of Docker's and Podman's.
var Family = family.Family{
	Stage: family.StageUse, What: "networks of Docker and Podman",
	Observe: observe,
	Diff: func(d *family.Difference) {
		d.Put(family.Compare(d.Want.Dockers, d.Have.Dockers, spec.DockerNet.Object, spec.DockerNet.Object), family.Clearing, family.Coming)
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		if err := a.Flush(ctx); err != nil {
			return err
		}
		network, options := names(op)
		_, err := run(ctx, a.Host, "set", network, options)
		return err
	},
	Tried: family.Tried{
		Claim: func(ctx context.Context, k *host.Host, _ *spec.Host, ops []family.Op) (out []spec.Problem, _ error) {
			for _, op := range ops {
				network, options := names(op)
				text, err := run(ctx, k, "try", network, options)
				if err != nil {
					return nil, err
				}
				for line := range strings.Lines(text) {
					what, next, _ := strings.Cut(strings.TrimSpace(line), "|")
					out = append(out, spec.Problem{What: what, Next: next})
				}
			}
			return out, nil
		},
	},
	Apart:  true,
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		err := observe(context.Background(), k, &spec.Host{}, have)
		var out []string
		for _, d := range have.Dockers {
			out = append(out, d.Object())
		}
		return out, err
	},
}

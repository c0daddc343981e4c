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
// writer of Podman's files, this program would be five times as large.
//
//go:embed dockernet.sh
var script string

// run is what a script says to a verb about what words name.
func run(ctx context.Context, k *host.Host, script, verb string, words ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "dockernet", verb, k.Cluster, k.Dir()}, words...)...)
	cmd.WaitDelay = time.Second // what it asks may have its output still
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("%s: %s", strings.Join(append([]string{verb}, words[:min(1, len(words))]...), " "), strings.Join(strings.Fields(string(failed.Stderr)), " "))
	}
	return string(out), err
}

// tell is run about an op: that which goes, or that which comes.
func tell(ctx context.Context, k *host.Host, verb string, op family.Op) (string, error) {
	switch want := op.Want.(type) {
	case spec.DockerNet:
		return run(ctx, k, script, verb, append([]string{want.Network}, strings.Fields(want.Options)...)...)
	case spec.Addr:
		return run(ctx, k, adoption, verb, want.Link, want.Prefix.String())
	}
	switch have := op.Have.(type) {
	case spec.DockerNet:
		return run(ctx, k, script, verb, have.Network)
	case spec.Addr:
		return run(ctx, k, adoption, verb, have.Link)
	}
	return "", nil
}

// claim says what is in the way of ops: a line each, WHAT|NEXT.
func claim(ctx context.Context, k *host.Host, _ *spec.Host, ops []family.Op) (out []spec.Problem, _ error) {
	for _, op := range ops {
		text, err := tell(ctx, k, "try", op)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			what, next, _ := strings.Cut(strings.TrimSpace(line), "|")
			out = append(out, spec.Problem{What: what, Next: next})
		}
	}
	return out, nil
}

// set carries an op out.
func set(ctx context.Context, a *family.Applier, op family.Op) error {
	if err := a.Flush(ctx); err != nil {
		return err
	}
	_, err := tell(ctx, a.Host, "set", op)
	return err
}

// noted says whether a script has a note whose name begins so: that it made something.
func noted(k *host.Host, begin string) bool {
	files, _ := os.ReadDir(k.Dir()) // without it nothing was made
	return slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), begin) })
}

// observe fills in have.Dockers. Where there is no Docker and no Podman, and none was asked
// for, what is wanted is as good as there, and awaited.
func observe(ctx context.Context, k *host.Host, want, have *spec.Host) error {
	if len(want.Dockers) == 0 && !noted(k, "dockernet-") {
		return nil
	}
	out, err := run(ctx, k, script, "list")
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
	One:    set,
	Tried:  family.Tried{Claim: claim},
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

//go:build linux

package dropin

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// ufw drops what containers ask servers for. Rules of its own, which ufw is told and keeps,
// let it in from bridges, with the cluster's mark for a comment. What is forwarded needs
// none: accepts are in the chain whose policy drops it (agent/nft).

// ufwLets is what follows "ufw allow in on DEVICE to any port", once for each rule.
var ufwLets = [][]string{{"53,67,547,5354,5357", "proto", "udp"}, {"53", "proto", "tcp"}}

// ufwProgram finds ufw. Where its package was removed, and not purged, its files are left, which
// nobody reads: there is no ufw then, and what it held it holds again when it comes back.
var ufwProgram = func() (string, error) { return unit.LookPath("ufw") }

// ufwHolds are the devices that ufw has rules of the cluster's for, sorted, once per rule.
func ufwHolds(s *host.Files) ([]string, error) {
	text, err := sysfile.ReadIfThere(filepath.Join(s.Paths.UFW, "user.rules"))
	var out []string
	for line := range strings.Lines(text) {
		rule, ours := strings.CutSuffix(strings.TrimSpace(line), " comment="+hex.EncodeToString([]byte(spec.AliasPrefix+s.Cluster)))
		if what, dev, ok := strings.Cut(rule, " in_"); ok && ours && strings.HasPrefix(what, "### tuple ### allow ") {
			out = append(out, dev)
		}
	}
	if len(out) > 0 {
		if _, gone := ufwProgram(); gone != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, err
}

// impliedUFW is want with the bridges that ufw must let in from, where it is active or has
// rules of ours.
func impliedUFW(k *host.Host, want *spec.Host) (*spec.Host, error) {
	held, err := ufwHolds(k.Files)
	conf, _ := sysfile.ReadIfThere(filepath.Join(k.Paths.UFW, "ufw.conf"))
	if want.Empty() || len(held) == 0 && !strings.Contains(conf, "\nENABLED=yes") {
		return want, err
	}
	if _, gone := ufwProgram(); gone != nil {
		return want, err
	}
	var lets []string
	for _, d := range want.DHCPs {
		lets = append(lets, d.Bridge)
	}
	out := *want
	out.UFW = told(lets)
	return &out, err
}

// setUFW has ufw let in from links, and from nothing else on the cluster's behalf.
func setUFW(ctx context.Context, s *host.Files, links []string) error {
	held, err := ufwHolds(s)
	if err != nil {
		return err
	}
	ufw, err := ufwProgram()
	if err != nil {
		return err
	}
	var failed error
	held = append(held, links...)
	slices.Sort(held)
	for _, dev := range slices.Compact(held) {
		for _, to := range ufwLets {
			args := append([]string{"allow", "in", "on", dev, "to", "any", "port"}, to...)
			if slices.Contains(links, dev) {
				args = append(args, "comment", spec.AliasPrefix+s.Cluster)
			} else {
				args = append([]string{"delete"}, args...)
			}
			failed = errors.Join(failed, unit.Run(ctx, ufw, args...))
		}
	}
	// One that is active and was stopped complains, and has it in its list for its next start.
	if held, err = ufwHolds(s); len(held) == len(links)*len(ufwLets) {
		return err
	}
	return errors.Join(failed, err)
}

// UFWFamily is what ufw lets in from bridges.
var UFWFamily = family.Family{
	What: "services: look at ufw",
	Observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error {
		held, err := ufwHolds(k.Files)
		if len(held) == 0 {
			return err
		}
		devices := slices.Compact(slices.Clone(held))
		if len(held) != len(devices)*len(ufwLets) {
			devices = nil // some are missing
		}
		have.UFW = []spec.Unmanage{{Links: devices}}
		return err
	},
	Implied: impliedUFW,
	Diff: func(d *family.Difference) {
		compareTold(d, d.Want.UFW, d.Have.UFW, "ufw")
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		want, _ := op.Want.(spec.Unmanage)
		return setUFW(ctx, a.Host.Files, want.Links)
	},
	Tried:  family.Tried{Files: func(s *host.Files, _ family.Op) ([]string, bool) { return []string{s.Paths.UFW}, false }},
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		held, err := ufwHolds(k.Files)
		for i, dev := range held {
			held[i] = "ufw " + dev
		}
		return held, err
	},
}

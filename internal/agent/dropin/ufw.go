//go:build linux

package dropin

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
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
// none: accepts are in the chain whose policy drops it (agent/nft). Servers that routes lead to
// ask for names by whatever device: they are known by their addresses.

// ufwLets is what follows "ufw allow", once for each rule: for a bridge, or for an address.
func ufwLets(from string) [][]string {
	if _, err := netip.ParseAddr(from); err == nil {
		return [][]string{{"from", from, "to", "any", "port", "5356,5357", "proto", "udp"}}
	}
	return [][]string{
		{"in", "on", from, "to", "any", "port", "53,67,547,5354,5357", "proto", "udp"},
		{"in", "on", from, "to", "any", "port", "53", "proto", "tcp"},
	}
}

// ufwRules is how many rules let all of list in.
func ufwRules(list []string) (n int) {
	for _, from := range list {
		n += len(ufwLets(from))
	}
	return n
}

// ufwProgram finds ufw. Where its package was removed, and not purged, its files are left, which
// nobody reads: there is no ufw then, and what it held it holds again when it comes back.
var ufwProgram = func() (string, error) { return unit.LookPath("ufw") }

// ufwHolds are the devices and addresses that ufw has rules of the cluster's for, sorted, once
// per rule.
func ufwHolds(s *host.Files) (out []string, err error) {
	for _, file := range [...]string{"user.rules", "user6.rules"} {
		text, err2 := sysfile.ReadIfThere(filepath.Join(s.Paths.UFW, file))
		err = errors.Join(err, err2)
		for line := range strings.Lines(text) {
			rule, ours := strings.CutSuffix(strings.TrimSpace(line), " comment="+hex.EncodeToString([]byte(spec.AliasPrefix+s.Cluster)))
			what, dev, on := strings.Cut(rule, " in_")
			if f := strings.Fields(what); !on && len(f) == 10 { // ### tuple ### allow udp PORTS TO any FROM in
				dev = f[8]
			} else if file != "user.rules" {
				continue // a device's rules are in both
			}
			if ours && dev != "" && strings.HasPrefix(what, "### tuple ### allow ") {
				out = append(out, dev)
			}
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
		for _, a := range d.Peers {
			if text := a.String(); d.Zone != nil && !slices.Contains(lets, text) {
				lets = append(lets, text)
			}
		}
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
		for _, let := range ufwLets(dev) {
			args := append([]string{"allow"}, let...)
			if slices.Contains(links, dev) {
				args = append(args, "comment", spec.AliasPrefix+s.Cluster)
			} else {
				args = append([]string{"delete"}, args...)
			}
			failed = errors.Join(failed, unit.Run(ctx, ufw, args...))
		}
	}
	// One that is active and was stopped complains, and has it in its list for its next start.
	if held, err = ufwHolds(s); len(held) == ufwRules(links) {
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
		if len(held) != ufwRules(devices) {
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

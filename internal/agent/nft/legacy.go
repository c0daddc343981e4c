//go:build linux

package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// legacyRule is an accept of ours in the rules of the iptables before nftables,
// which a kernel holds apart: no nftables transaction reaches them, its own
// program does. It is consulted only where the kernel has such a filter table.
type legacyRule struct {
	program string // path of iptables-legacy or ip6tables-legacy
	chain   string
	match   string // as -S prints it, without quotes
	network string
	of      spec.Forward // what a wanted one is for
	found   match        // what one that was found matches
}

// same says whether a and b are one rule.
func (r legacyRule) same(o legacyRule) bool {
	return r.program == o.program && r.chain == o.chain && r.match == o.match
}

// legacyTable is where the kernel tells which tables of the iptables before nftables it
// has, and the program for them.
type legacyTable struct {
	names, program string
	six            bool
}

var legacyTables = [...]legacyTable{
	{"ip_tables_names", "iptables-legacy", false},
	{"ip6_tables_names", "ip6tables-legacy", true},
}

// find returns the program where the kernel has the table, otherwise "". Whatever the
// kernel has, where the program is missing nobody can write it.
func (t legacyTable) find(s Server, table string) (string, error) {
	names, err := sysfile.Read(filepath.Join(s.ProcNet, t.names))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for iptables' tables: %w", err)
	}
	if !slices.Contains(strings.Fields(string(names)), table) {
		return "", nil
	}
	program, err := unit.LookPath(t.program)
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil
	}
	return program, err
}

// legacyChanges says which accepts are missing for want and which of ours are in excess.
func (n *Filters) legacyChanges(want *spec.Host) (missing, extra []legacyRule, err error) {
	for _, table := range legacyTables {
		program, err := table.find(n.server, "filter")
		if err != nil {
			return nil, nil, err
		}
		if program == "" {
			continue
		}
		out, err := runLegacy(program, "-S")
		if err != nil {
			return nil, nil, err
		}
		list := strings.Split(strings.ReplaceAll(out, `"`, ""), "\n")
		wanted, found := n.legacyWanted(program, list, want), n.legacyFound(program, list)
		missing = append(missing, without(wanted, found)...)
		extra = append(extra, without(found, wanted)...)
	}
	return missing, extra, nil
}

// without takes every element of b out of a once.
func without(a, b []legacyRule) []legacyRule {
	out := slices.Clone(a)
	for _, r := range b {
		if i := slices.IndexFunc(out, r.same); i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// legacyWanted mirrors forwardTargets on the lines of iptables -S.
func (n *Filters) legacyWanted(program string, list []string, want *spec.Host) []legacyRule {
	var chains []string
	user := slices.Contains(list, "-N "+dockerUser)
	if user {
		chains = append(chains, dockerUser)
	}
	jumps := user && slices.Contains(list, "-A FORWARD -j "+dockerUser)
	if slices.Contains(list, "-A FORWARD -j "+libvirtIn) || slices.Contains(list, "-P FORWARD DROP") && !jumps {
		chains = append(chains, "FORWARD")
	}
	var out []legacyRule
	family := nftables.TableFamilyIPv4
	if strings.HasPrefix(filepath.Base(program), "ip6") {
		family = nftables.TableFamilyIPv6
	}
	for _, f := range want.Forwards {
		for _, m := range n.matches(f, want) {
			if !sees(family, m.addresses()) {
				continue
			}
			text := fmt.Sprintf("%s-m comment --comment %s -j ACCEPT", m.legacy(), spec.Alias(n.server.Cluster, f.Network))
			for _, chain := range chains {
				out = append(out, legacyRule{program: program, chain: chain, match: text, network: f.Network, of: f})
			}
		}
	}
	return out
}

func (n *Filters) legacyFound(program string, list []string) []legacyRule {
	prefix := spec.Alias(n.server.Cluster, "")
	var out []legacyRule
	for _, line := range list {
		words := strings.Fields(line)
		at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, prefix) })
		if at < 4 || words[0] != "-A" || words[at-1] != "--comment" {
			continue
		}
		r := legacyRule{program: program, chain: words[1], match: strings.Join(words[2:], " ")}
		r.network, r.found = strings.TrimPrefix(words[at], prefix), readLegacy(words)
		out = append(out, r)
	}
	return out
}

func (n *Filters) setLegacy(want *spec.Host) error {
	missing, extra, err := n.legacyChanges(want)
	if err != nil {
		return err
	}
	for _, r := range extra {
		if _, err := runLegacy(r.program, append([]string{"-D", r.chain}, strings.Fields(r.match)...)...); err != nil {
			return err
		}
	}
	for _, r := range missing {
		if _, err := runLegacy(r.program, append([]string{"-I", r.chain}, strings.Fields(r.match)...)...); err != nil {
			return err
		}
	}
	return nil
}

// runLegacy waits five seconds at most for others who hold xtables' lock.
func runLegacy(program string, args ...string) (string, error) {
	cmd := exec.Command(program, append([]string{"-w", "5"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("run %s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	return string(out), nil
}

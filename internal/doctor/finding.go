package doctor

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// Finding is one thing that will bite.
type Finding struct {
	Server string // "": the workstation
	What   string // what there is
	Why    string // what comes of it, in one sentence
	Fix    string // one line for a shell: on the server as root, or, with Here, on the workstation
	Here   bool
	Safe   bool // nothing that works stops by it: --fix does it
}

// Next is the line to be typed on the workstation.
func (f Finding) Next(c *state.Cluster) string {
	if f.Here || f.Server == "" {
		return f.Fix
	}
	return Login(f.Server, c.Servers[f.Server], f.Fix)
}

// Login is a shell's line that runs a script as root on a server.
func Login(name string, s *state.Server, script string) string {
	if s == nil || name == local {
		return "sudo sh -c " + hint.Shell(script)
	}
	words, to := []string{"ssh"}, cmp.Or(s.Address, name)
	if s.Port != 0 {
		words = append(words, "-p", strconv.Itoa(int(s.Port)))
	}
	if s.Identity != "" {
		words = append(words, "-i", s.Identity)
	}
	if s.Jump != "" {
		words = append(words, "-J", s.Jump)
	}
	if s.User != "" {
		to = s.User + "@" + to
	}
	if s.User != "root" {
		script = "sudo -n sh -c " + hint.Shell(script)
	}
	return hint.Shell(append(words, to, script)...)
}

// local is the name of the workstation as a server.
const local = "local"

// checks are all that is looked for, in the order in which it is told.
var checks = []func(*Server, *Facts) []Finding{
	kinds, kernelFaults, dnsmasq, dnsHolder, forwarding, reversePath, forwardChains, dockerBackend, firewalls,
	networkManager, networkd, macPolicy, overlaps, addresses, limits, sshServer, agents, leftovers, clock,
}

// Examine finds what will bite: of servers first, by name, and what they have in common; then of
// the workstation.
func Examine(f *Facts) []Finding {
	var out []Finding
	for _, check := range checks {
		for i := range f.Servers {
			s := &f.Servers[i]
			for _, one := range check(s, f) {
				one.Server = s.Name
				out = append(out, one)
			}
		}
	}
	out = append(out, clones(f)...)
	slices.SortStableFunc(out, func(a, b Finding) int { return screen.ByName(a.Server, b.Server) })
	return append(out, workstation(f)...)
}

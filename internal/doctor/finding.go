package doctor

import (
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
)

// Finding is one thing that will bite.
type Finding struct {
	Server string // "": the workstation
	Check  string // which check found it
	Object string // what of the server it is about; "": the check finds one thing
	What   string // what there is
	Why    string // what comes of it, in one sentence
	Fix    string // one line for a shell: on the server as root, or, with Here, on the workstation
	Then   string // a line for the workstation once Fix has been done; "": none
	Here   bool
	Safe   bool // nothing that works stops by it: --fix does it
}

// Same says whether two findings are of one thing: figures in the text may differ.
func (f Finding) Same(o Finding) bool {
	return f.Server == o.Server && f.Check == o.Check && f.Object == o.Object
}

// Next is the line to be typed on the workstation.
func (f Finding) Next(facts *Facts) string {
	line := f.Fix
	if !f.Here && f.Server != "" {
		line = facts.login(f.Server, line)
	}
	if f.Then != "" {
		line += " && " + f.Then
	}
	return line
}

// login is a shell's line that runs a script as root on a server.
func (f *Facts) login(name, script string) string {
	l, known := f.Logins[name]
	if name == local {
		return "sudo sh -c " + hint.Shell(script)
	}
	if !known {
		l = Login{Args: []string{"--", name}}
	}
	if !l.Root {
		script = "sudo -n sh -c " + hint.Shell(script)
	}
	return hint.Shell(slices.Concat([]string{"ssh"}, l.Args, []string{script})...)
}

// local is the name of the workstation as a server.
const local = "local"

// checks are all that is looked for, in the order in which it is told. Those that find something
// because it is not in an answer have the scripts whose answers must be whole.
var checks = []struct {
	name  string
	judge func(*Server, *Facts) []Finding
	whole []string
}{
	{"unanswered", unanswered, nil},
	{"kind", kinds, nil},
	{"dnsmasq", dnsmasq, []string{"dnsmasq", "files"}},
	{"port-53", dnsHolder, nil},
	{"hangs", hangs, nil},
	{"forwarding", forwarding, nil},
	{"forwarding-at-boot", forwardingAtBoot, nil},
	{"rp-filter", reversePath, nil},
	{"chain", forwardChains, nil},
	{"incoming", incoming, nil},
	{"docker-backend", dockerBackend, nil},
	{"ufw", ufw, []string{"files", "ufw"}},
	{"firewalld", firewalld, nil},
	{"networkmanager", networkManager, nil},
	{"networkd", networkd, []string{"files"}},
	{"overlap", overlaps, nil},
	{"pool", pools, nil},
	{"nat", nat, nil},
	{"address", duplicates, nil},
	{"mac", sameMAC, nil},
	{"container-address", sameAddress, nil},
	{"neighbours", neighbours, []string{"fixed"}},
	{"inotify", inotify, nil},
	{"sshd", sshServer, nil},
	{"agents", agents, []string{"agents", "running", "units"}},
	{"leftover", leftovers, nil},
	{"forgotten", forgotten, []string{"clusters"}},
	{"clock", clock, nil},
}

// Examine finds what will bite: of servers first, by name, and what they have in common; then of
// the workstation.
func Examine(f *Facts) []Finding {
	var out []Finding
	for _, check := range checks {
		for i := range f.Servers {
			s := &f.Servers[i]
			if slices.ContainsFunc(check.whole, func(script string) bool { _, whole := s.answer(script); return !whole }) {
				continue
			}
			for _, one := range check.judge(s, f) {
				one.Server, one.Check = s.Name, check.name
				out = append(out, one)
			}
		}
	}
	out = append(out, clones(f)...)
	slices.SortStableFunc(out, func(a, b Finding) int { return screen.ByName(a.Server, b.Server) })
	return append(out, workstation(f)...)
}

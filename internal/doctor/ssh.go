package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// option is a setting of sshd, as sshd -T prints it.
func (s *Server) option(name string) string {
	for line := range strings.Lines(s.ran("sshd")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			return value
		}
	}
	return ""
}

// What flock needs of sshd's limits (sshd_config(5)): a second connection, while others are not
// logged in yet, proves during a change that the server is still reachable; and on a connection
// that ssh has up (ControlMaster) its session stands beside that of whoever opened it.
const (
	startupsLeast = 3
	sessionsLeast = 2
)

// sshServer is a server that refuses connections, or sessions, before there are many.
func sshServer(s *Server, _ *Facts) []Finding {
	// What is in a Match block is for some logins alone, and stays.
	mend := func(option string) string {
		return "grep -lis " + option + " /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf | xargs sed -i -e '/^[[:space:]]*match[[:space:]]/I,$b' -e 's/^[[:space:]]*" + option +
			"/# &/I' && sshd -t && kill -HUP $(cat /run/sshd.pid)"
	}
	var out []Finding
	text := s.option("maxstartups")
	first, _, _ := strings.Cut(text, ":")
	if begin, err := strconv.Atoi(first); err == nil && begin < startupsLeast {
		out = append(out, Finding{
			Object: "MaxStartups", What: "sshd drops connections while " + first + " others log in (MaxStartups " + text + ")",
			Why: "flock proves by a second connection that a change did not cut the server off: without one the server undoes it",
			Fix: mend("MaxStartups"),
		})
	}
	text = s.option("maxsessions")
	if most, err := strconv.Atoi(text); err == nil && most < sessionsLeast {
		out = append(out, Finding{
			Object: "MaxSessions", What: "sshd lets a connection have " + text + " session (MaxSessions)",
			Why: "flock cannot go through a connection that ssh has up, where somebody is logged in",
			Fix: mend("MaxSessions"),
		})
	}
	return out
}

// triesMost is how many keys a server lets be tried by default (sshd_config(5), MaxAuthTries).
const triesMost = 6

// workstation is what is amiss on the machine that flock runs on.
func workstation(f *Facts) []Finding {
	var out []Finding
	tries, server := triesMost, ""
	for i := range f.Servers {
		s := &f.Servers[i]
		if n, err := strconv.Atoi(s.option("maxauthtries")); err == nil && !f.Logins[s.Name].Named && s.Entry.Identity == "" && n <= tries && s.Name != local {
			tries, server = n, s.Name
		}
	}
	if server != "" && f.Workstation.Keys > tries {
		out = append(out, Finding{
			Check: "agent-keys", What: fmt.Sprintf("the SSH agent offers %d keys, and %s ends a login after %d", f.Workstation.Keys, server, tries),
			Why: "when the right key is not among the first, logins fail",
			Fix: "ssh-add -l",
		})
	}
	for _, o := range f.Workstation.Open {
		one := Finding{
			Check: "mode", Object: o.Path, What: fmt.Sprintf("%s may be written by others (mode %04o)", o.Path, o.Mode),
			Why: "who writes it decides where flock logs in, or what it does there",
			Fix: hint.Shell("chmod", fmt.Sprintf("%04o", o.Most), o.Path), Safe: true,
		}
		if o.Mode&0o022 == 0 {
			one.What = fmt.Sprintf("%s may be read by others (mode %04o)", o.Path, o.Mode)
			one.Why = "who reads a private key can log in with it, and ssh refuses to use it"
		}
		out = append(out, one)
	}
	return out
}

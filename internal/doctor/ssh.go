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

// loginsMost is how many connections flock has to a server that are not logged in yet: a second
// one proves, during a change, that the server is still reachable.
const loginsMost = 3

// sshServer is a server that refuses connections before there are many.
func sshServer(s *Server, f *Facts) []Finding {
	text := s.option("maxstartups")
	first, _, _ := strings.Cut(text, ":")
	begin, err := strconv.Atoi(first)
	if err != nil || begin >= loginsMost {
		return nil
	}
	return []Finding{{
		What: "sshd drops connections while " + first + " others log in (MaxStartups " + text + ")",
		Why:  "flock proves by a second connection that a change did not cut the server off: without one the server undoes it",
		Fix:  `grep -ls MaxStartups /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf | xargs sed -i 's/^[[:space:]]*MaxStartups/# &/' && sshd -t && kill -HUP $(cat /run/sshd.pid)`,
	}}
}

// triesMost is how many keys a server lets be tried by default (sshd_config(5), MaxAuthTries).
const triesMost = 6

// workstation is what is amiss on the machine that flock runs on.
func workstation(f *Facts) []Finding {
	var out []Finding
	tries, server := triesMost, ""
	for i := range f.Servers {
		s := &f.Servers[i]
		if n, err := strconv.Atoi(s.option("maxauthtries")); err == nil && s.Entry.Identity == "" && n <= tries && s.Name != local {
			tries, server = n, s.Name
		}
	}
	if server != "" && f.Workstation.Keys >= tries {
		out = append(out, Finding{
			What: fmt.Sprintf("the SSH agent offers %d keys, and %s ends a login after %d", f.Workstation.Keys, server, tries),
			Why:  "when the right key is not among the first, logins fail",
			Fix:  "ssh-add -l",
		})
	}
	for _, o := range f.Workstation.Open {
		one := Finding{
			What: fmt.Sprintf("%s may be written by others (mode %04o)", o.Path, o.Mode),
			Why:  "who writes it decides where flock logs in, or what it does there",
			Fix:  hint.Shell("chmod", fmt.Sprintf("%04o", o.Most), o.Path), Safe: true,
		}
		if o.Mode&0o022 == 0 {
			one.What = fmt.Sprintf("%s may be read by others (mode %04o)", o.Path, o.Mode)
			one.Why = "who reads a private key can log in with it, and ssh refuses to use it"
		}
		out = append(out, one)
	}
	return out
}

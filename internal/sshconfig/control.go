package sshconfig

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ownTokens are those of a ControlPath that flock expands itself: the others mean something
// else from one version of OpenSSH to the next (%C has the jump hosts in it since 9.0), so ssh
// is asked for them.
const ownTokens = "%dhnpru"

// Control is the socket at which ssh listens once it has a connection to d that others may use
// (ssh_config(5), ControlPath); "" where the config has none, or one that a connection to another
// account could have as well. It need not exist.
func (c *Config) Control(ctx context.Context, d Destination) string {
	named := func(e entry) bool { return e.key == "controlpath" }
	if c.odd == nil && !slices.ContainsFunc(c.entries, named) {
		return ""
	}
	o, err := c.options(ctx, d)
	if err != nil {
		return ""
	}
	if path := o.get("controlpath"); !o.fromSSH() && (path == "" || strings.EqualFold(path, "none")) {
		return ""
	}
	r, err := c.Route(ctx, d)
	if err != nil {
		return ""
	}
	path := c.controlPath(ctx, d, o, r)
	if !filepath.IsAbs(path) || !tells(path, d, r) {
		return ""
	}
	return path
}

// controlPath is what the path comes to; "" if nobody knows.
func (c *Config) controlPath(ctx context.Context, d Destination, o options, r *Route) string {
	if raw := o.get("controlpath"); !o.fromSSH() && onlyOwn(raw) {
		q := &query{options: o, alias: d.Alias, home: c.home}
		q.fillTokens(r)
		if path := q.path(raw); q.err == nil {
			return path
		}
		return ""
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		return "" // nobody has made such a connection
	}
	var more []string
	if d.Jump != "" {
		more = []string{"-J", d.Jump}
	}
	asked, err := c.ask(ctx, d, &oddity{what: "ControlPath"}, more...)
	if err != nil {
		return ""
	}
	return asked.get("controlpath")
}

func onlyOwn(path string) bool {
	for i := 0; i+1 < len(path); i++ {
		if path[i] == '%' {
			if i++; !strings.ContainsRune(ownTokens, rune(path[i])) {
				return false
			}
		}
	}
	return true
}

// digest is what %C comes to.
var digest = regexp.MustCompile(`[0-9a-f]{40}`)

// tells says whether a path is of one account alone: it has host, port and user, or their digest.
func tells(path string, d Destination, r *Route) bool {
	has := func(s string) bool { return strings.Contains(path, s) }
	return digest.MatchString(path) || (has(r.Host) || has(d.Alias)) && has(strconv.Itoa(int(r.Port))) && has(r.User)
}

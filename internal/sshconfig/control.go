package sshconfig

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ownTokens are those of a ControlPath that flock expands itself: the others mean something
// else from one version of OpenSSH to the next (%C has the jump hosts in it in later ones), so
// ssh is asked for them.
const ownTokens = "%dhnpru"

// elsewhere is a jump host that nobody has.
const elsewhere = "flock.invalid"

// Control is the socket at which ssh listens once it has a connection to d that others may use
// (ssh_config(5), ControlPath); "" where the config has none, or one that a connection to another
// account, or by way of another host, could have as well. It need not exist. Where only ssh can
// evaluate the config, what the path is made of is not known, and it is not used.
func (c *Config) Control(ctx context.Context, d Destination) string {
	named := func(e entry) bool { return e.key == "controlpath" }
	if c.odd != nil || !slices.ContainsFunc(c.entries, named) {
		return ""
	}
	o, err := c.options(ctx, d)
	if err != nil || o.fromSSH() {
		return ""
	}
	raw := o.get("controlpath")
	r, err := c.Route(ctx, d)
	if err != nil || raw == "" || strings.EqualFold(raw, "none") || !tells(raw, d, r) {
		return ""
	}
	path := c.controlPath(ctx, d, o, r, raw)
	if !filepath.IsAbs(path) {
		return ""
	}
	return path
}

// controlPath is what the path comes to; "" if nobody knows, or if it is the same by way of
// another jump host.
func (c *Config) controlPath(ctx context.Context, d Destination, o options, r *Route, raw string) string {
	have := tokensOf(raw)
	if strings.Trim(have, ownTokens) == "" {
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
	var by []string
	if d.Jump != "" {
		by = []string{"-J", d.Jump}
	}
	path := c.askControl(ctx, d, by...)
	if r.Jump != "" && !throughName(have, d) && path == c.askControl(ctx, d, "-J", elsewhere) {
		return ""
	}
	return path
}

// Starts says whether ssh, when it logs in to d, keeps the connection for others once the command
// that it ran has ended (ssh_config(5): ControlMaster auto or yes, and ControlPersist). One that
// has to be confirmed at each use (ask) is none. ssh is asked; without it the answer is no.
func (c *Config) Starts(ctx context.Context, d Destination) bool {
	if !slices.ContainsFunc(c.entries, func(e entry) bool { return e.key == "controlmaster" }) {
		return false
	}
	var by []string
	if d.Jump != "" {
		by = []string{"-J", d.Jump}
	}
	o, err := c.ask(ctx, d, &oddity{what: "ControlMaster"}, by...)
	if err != nil {
		return false
	}
	persist := o.get("controlpersist") // yes, no, or seconds
	return slices.Contains([]string{"auto", "true", "yes"}, o.get("controlmaster")) && persist != "" && persist != "no"
}

func (c *Config) askControl(ctx context.Context, d Destination, more ...string) string {
	asked, err := c.ask(ctx, d, &oddity{what: "ControlPath"}, more...)
	if err != nil {
		return ""
	}
	return asked.get("controlpath")
}

// tokensOf are the letters behind percent signs.
func tokensOf(path string) string {
	var out strings.Builder
	for i := 0; i+1 < len(path); i++ {
		if path[i] == '%' {
			i++
			out.WriteByte(path[i])
		}
	}
	return out.String()
}

// tells says whether a path is of one account alone: it has host, port and user, or their digest;
// and where others are on the way, whether it tells these apart, or may do so (see controlPath).
func tells(raw string, d Destination, r *Route) bool {
	have := tokensOf(raw)
	has := func(letters string) bool { return strings.ContainsAny(have, letters) }
	account := has("C") || has("hn") && has("p") && has("r")
	switch {
	case r.Proxy != "":
		return account && throughName(have, d)
	case r.Jump != "":
		return account && (throughName(have, d) || has("jC"))
	}
	return account
}

// throughName says whether the name that is typed is in the path, and all of the way follows
// from it by the config.
func throughName(have string, d Destination) bool { return strings.Contains(have, "n") && d.Jump == "" }

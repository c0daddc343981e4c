package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/target"
)

// sshConfig is the operator's ssh config. What it says of a host is read here as long
// as it is plain; otherwise OpenSSH's own program is asked (ssh -G), which alone knows
// what it makes of canonical names, quotes, rare tokens and rare kinds of Match.
type sshConfig struct {
	path    string  // -F; empty: the user's and the system's
	home    string  // of the user, as the system has it on record
	entries []entry // of all files
	odd     *oddity // the first thing that is not plain, whoever it concerns; nil: all is
	asked   askedSSH
}

// homeDir is the home that ssh takes: the one on record, whatever $HOME says (sudo -E
// keeps that of another user). Where there is no record, $HOME.
func homeDir() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// readConfig reads explicit alone, or the user's and the system's file as far as
// they exist.
func readConfig(explicit string) (*sshConfig, error) {
	home, err := homeDir()
	if err != nil {
		return nil, fmt.Errorf("%w: find home directory: %w", ErrConfig, err)
	}
	c := &sshConfig{path: explicit, home: home}
	user := filepath.Join(home, ".ssh")
	paths := [][2]string{{filepath.Join(user, "config"), user}, {"/etc/ssh/ssh_config", "/etc/ssh"}}
	if explicit != "" {
		paths = [][2]string{{explicit, user}}
	}
	for _, p := range paths {
		path, base := p[0], p[1]
		data, err := plainfile.Read(path, plainfile.MostConfig)
		if explicit == "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, hint.With(fmt.Errorf("%w: read: %w", ErrConfig, err), path, hint.Shell("ls", "-l", path))
		}
		if c.odd == nil {
			var entries []entry
			entries, c.odd = scanConfig(path, data, home, base)
			c.entries = append(c.entries, entries...)
		}
	}
	return c, nil
}

// options is what the config says about t.
func (c *sshConfig) options(ctx context.Context, t Target) (options, error) {
	odd := c.odd
	if odd == nil {
		var out options
		limited, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		out, odd = read(c.entries, t, func(command string) (holds, sure bool) { return c.asked.holds(limited, command) })
		switch {
		case odd == nil:
			return out, nil
		case limited.Err() != nil && ctx.Err() == nil:
			return nil, fmt.Errorf("%w: %s: what Match exec runs does not end within %s", ErrConfig, odd.place(), askWithin)
		}
	}
	return c.ask(ctx, t, odd)
}

// route is where a target leads once ssh's config has been asked.
type route struct {
	target  Target
	network string // tcp, tcp4, tcp6
	host    string
	port    uint16
	user    string
	keyName string // host and port that known_hosts is asked about

	jump  string // hops on the way, as ssh -J
	proxy string // ProxyCommand, expanded

	identities   []string // key files in order; those that do not exist included
	certificates []string
	named        bool   // identities were asked for, they are not ssh's defaults
	only         bool   // IdentitiesOnly
	agent        string // socket of the ssh agent; empty: none

	known     []string // files with known host keys
	userKnown []string // those of them that are the user's own: the first is written to
	revoked   string   // file of host keys that are never taken; empty: none
	strict    string   // StrictHostKeyChecking
	hashing   bool     // HashKnownHosts
}

func (r *route) addr() string { return net.JoinHostPort(r.host, strconv.Itoa(int(r.port))) }

// words are what ssh and its like are given to go the same way.
func (r *route) words() []string {
	return []string{"-p", strconv.Itoa(int(r.port)), r.user + "@" + r.host}
}

// id names the way to an account: equal ids may share a connection.
func (r *route) id() string {
	return strings.Join([]string{r.user, r.addr(), r.jump, r.proxy, strings.Join(r.identities, ":")}, " ")
}

// route asks the config about t. What t says itself wins.
func (c *sshConfig) route(ctx context.Context, t Target) (*route, error) {
	// A Match exec runs a command that the names are put into.
	if err := (&query{alias: t.alias()}).safe(t.alias(), t.User); err != nil {
		return nil, hint.With(err, t.where(), "")
	}
	o, err := c.options(ctx, t)
	if err != nil {
		return nil, hint.With(err, t.where(), hint.Shell("ssh", "-G", t.alias()))
	}
	q := &query{options: o, alias: t.alias(), home: c.home}
	r := &route{target: t, user: cmp.Or(t.User, o.get("user"), localUser()), port: t.Port, network: "tcp"}
	if r.port == 0 {
		r.port = q.port()
	}
	r.host = q.hostName()
	if err := q.safe(r.host, r.user); err != nil {
		return nil, hint.With(err, t.where(), hint.Shell("ssh", "-G", t.alias()))
	}
	r.jump, r.proxy = o.get("proxyjump"), o.get("proxycommand")
	if t.Jump != "" {
		r.jump, r.proxy = t.Jump, "none"
	}
	q.fillTokens(r)
	switch o.get("addressfamily") {
	case "inet":
		r.network = "tcp4"
	case "inet6":
		r.network = "tcp6"
	}
	q.way(r)
	q.keys(t, r)
	q.hostKeys(r)
	return r, hint.With(q.err, t.where(), hint.Shell("ssh", "-G", t.alias()))
}

// safe refuses names that OpenSSH does not put into commands, wherever they come from. No
// user: none was named.
func (q *query) safe(host, user string) error {
	if err := target.SafeHost(host); err != nil {
		q.fail("%w", err)
	}
	if user != "" {
		if err := target.SafeUser(user); err != nil {
			q.fail("%w", err)
		}
	}
	return q.err
}

// query turns what the config says about one alias into a route, and keeps the first
// error.
type query struct {
	options options
	alias   string
	home    string
	tokens  map[byte]string // after a percent sign, see TOKENS in ssh_config(5)
	err     error
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%w: %s: %w", ErrConfig, q.alias, fmt.Errorf(format, args...))
	}
}

func (q *query) port() uint16 {
	n, err := strconv.ParseUint(cmp.Or(q.options.get("port"), "22"), 10, 16)
	if err != nil || n == 0 {
		q.fail("port %s is out of range", q.options.get("port"))
	}
	return uint16(n)
}

// hostName, in lower case, knows only %h, which is the name as typed, and %%. What ssh itself says is
// expanded already.
func (q *query) hostName() string {
	name := cmp.Or(q.options.get("hostname"), q.alias)
	if q.options.fromSSH() {
		return name
	}
	q.tokens = map[byte]string{'h': q.alias, '%': "%"}
	return strings.ToLower(q.expand(name))
}

// fillTokens takes ssh's word for the tokens, or makes those that a plain config may use.
func (q *query) fillTokens(r *route) {
	q.tokens = q.options.tokens()
	if q.tokens == nil {
		q.tokens = map[byte]string{'u': localUser(), 'd': q.home}
	}
	q.tokens['h'], q.tokens['n'], q.tokens['p'], q.tokens['r'], q.tokens['%'] = r.host, q.alias, strconv.Itoa(int(r.port)), r.user, "%"
	q.tokens['j'] = r.jump
}

// way is a jump or a proxy command. ssh takes the one that is named first; in a plain
// config only one of them is named.
func (q *query) way(r *route) {
	if strings.EqualFold(r.jump, "none") {
		r.jump = ""
	}
	if r.proxy == "" || strings.EqualFold(r.proxy, "none") {
		r.jump, r.proxy = q.expand(r.jump), ""
		return
	}
	if q.options.get("proxyusefdpass") == "yes" {
		q.fail("ProxyUseFdpass hands a socket over, which flock cannot take")
	}
	r.jump, r.proxy = "", q.expand(r.proxy)
}

// defaultKeys are ssh's default identity files below ~/.ssh, in our order.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"}

func (q *query) keys(t Target, r *route) {
	if t.Identity != "" {
		r.identities = []string{q.path(t.Identity)}
	}
	for _, f := range q.options.identities() {
		if !strings.EqualFold(f, "none") {
			r.identities = append(r.identities, q.path(f))
		}
		r.named = true
	}
	r.named = r.named || t.Identity != ""
	if !r.named {
		for _, name := range defaultKeys {
			r.identities = append(r.identities, filepath.Join(q.home, ".ssh", name))
		}
	}
	for _, f := range q.options["certificatefile"] {
		if !strings.EqualFold(f, "none") {
			r.certificates = append(r.certificates, q.path(f))
		}
	}
	r.only = q.options.get("identitiesonly") == "yes"
	switch sock := cmp.Or(q.options.get("identityagent"), "SSH_AUTH_SOCK"); {
	case sock == "SSH_AUTH_SOCK":
		r.agent = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(sock, "$"):
		r.agent = os.Getenv(strings.Trim(sock, "${}"))
	case !strings.EqualFold(sock, "none"):
		r.agent = q.path(sock)
	}
}

func (q *query) hostKeys(r *route) {
	r.keyName = r.addr()
	if alias := q.options.get("hostkeyalias"); alias != "" {
		r.keyName = net.JoinHostPort(alias, "22") // ssh appends no port to an alias
	}
	for _, f := range fileList(cmp.Or(q.options.get("userknownhostsfile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2")) {
		if !strings.EqualFold(f, "none") {
			r.userKnown = append(r.userKnown, q.path(f))
		}
	}
	r.known = slices.Clone(r.userKnown)
	for _, f := range fileList(cmp.Or(q.options.get("globalknownhostsfile"), "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")) {
		if !strings.EqualFold(f, "none") {
			r.known = append(r.known, f) // ssh expands nothing there
		}
	}
	if f := q.options.get("revokedhostkeys"); f != "" && !strings.EqualFold(f, "none") {
		r.revoked = q.path(f)
	}
	r.strict = q.options.get("stricthostkeychecking")
	r.hashing = q.options.get("hashknownhosts") == "yes"
}

// path expands a leading tilde, tokens and ${NAME}.
func (q *query) path(s string) string {
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		home := q.home
		if name != "" {
			u, err := user.Lookup(name)
			if err != nil {
				q.fail("find the home directory of %s: %w", name, err)
				return s
			}
			home = u.HomeDir
		}
		s = filepath.Join(home, rest)
	}
	return q.environment(q.expand(s))
}

// environment replaces ${NAME}. A variable that is not set is an error, as to ssh.
func (q *query) environment(s string) string {
	before, rest, found := strings.Cut(s, "${")
	name, after, closed := strings.Cut(rest, "}")
	if !found || !closed {
		return s
	}
	value, set := os.LookupEnv(name)
	if !set {
		q.fail("the environment has no %s", name)
	}
	return before + value + q.environment(after)
}

// expand replaces percent tokens. One that is not known is an error, as to ssh.
func (q *query) expand(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			q.fail("%q ends with a percent sign", s)
			break
		}
		v, ok := q.tokens[s[i]]
		if !ok {
			q.fail("%q: %%%c means nothing there", s, s[i])
		}
		b.WriteString(v)
	}
	return b.String()
}

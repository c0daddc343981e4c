package sshconfig

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/target"
)

// Destination is what would be typed to ssh: a host, and options. What is empty or zero
// comes from the config.
type Destination struct {
	Alias    string // host name, address, or a name that the config knows
	User     string
	Port     uint16
	Identity string // key file; it goes before those of the config
	Jump     string // as ssh -J: [USER@]HOST[:PORT],...; "none" for no jump
}

// Route is where a destination leads according to ssh's config.
type Route struct {
	Network string // tcp, tcp4, tcp6
	Host    string
	Port    uint16
	User    string
	KeyName string // host and port that known_hosts is asked about

	Jump  string // hops on the way, as ssh -J
	Proxy string // ProxyCommand, expanded

	Identities   []string // key files in order; those that do not exist included
	Certificates []string
	Named        bool   // identities were asked for, they are not ssh's defaults
	Only         bool   // IdentitiesOnly
	Agent        string // socket of the ssh agent; empty: none
	Batch        bool   // BatchMode: nobody is asked
	Password     bool   // PasswordAuthentication
	Interactive  bool   // KbdInteractiveAuthentication

	Known     []string // files with known host keys
	UserKnown []string // those of them that are the user's own: the first is written to
	Revoked   string   // file of host keys that are never taken; empty: none
	Strict    string   // StrictHostKeyChecking
	Hashing   bool     // HashKnownHosts
}

// Addr is host and port as net.Dial takes them.
func (r *Route) Addr() string { return net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))) }

// Words are the arguments with which ssh and its like take the same route.
func (r *Route) Words() []string {
	return []string{"-p", strconv.Itoa(int(r.Port)), r.User + "@" + r.Host}
}

// ID names the way to an account: equal ids may share a connection.
func (r *Route) ID() string {
	return strings.Join([]string{r.User, r.Addr(), r.Jump, r.Proxy, strings.Join(r.Identities, ":")}, " ")
}

// Route evaluates the config for d. What d itself says goes before the config. It ends
// with ctx; errors wrap Err and carry advice.
func (c *Config) Route(ctx context.Context, d Destination) (*Route, error) {
	// A Match exec runs a command that the names are put into.
	if err := (&query{alias: d.Alias}).safe(d.Alias, d.User); err != nil {
		return nil, hint.With(err, "", "")
	}
	o, err := c.options(ctx, d)
	if err != nil {
		return nil, hint.With(err, "", hint.Shell("ssh", "-G", d.Alias))
	}
	q := &query{options: o, alias: d.Alias, home: c.home}
	r := &Route{User: cmp.Or(d.User, o.get("user"), LocalUser()), Port: d.Port, Network: "tcp"}
	if r.Port == 0 {
		r.Port = q.port()
	}
	r.Host = q.hostName()
	if err := q.safe(r.Host, r.User); err != nil {
		return nil, hint.With(err, "", hint.Shell("ssh", "-G", d.Alias))
	}
	r.Jump, r.Proxy = o.get("proxyjump"), o.get("proxycommand")
	if d.Jump != "" {
		r.Jump, r.Proxy = d.Jump, "none"
	}
	q.fillTokens(r)
	switch o.get("addressfamily") {
	case "inet":
		r.Network = "tcp4"
	case "inet6":
		r.Network = "tcp6"
	}
	q.way(r)
	q.keys(d, r)
	q.hostKeys(r)
	return r, hint.With(q.err, "", hint.Shell("ssh", "-G", d.Alias))
}

// safe refuses names that OpenSSH does not put into commands, wherever they come from.
// An empty user means that none was named.
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

// query turns the options of one alias into a route, and keeps the first error.
type query struct {
	options options
	alias   string
	home    string
	tokens  map[byte]string // after a percent sign, see TOKENS in ssh_config(5)
	err     error
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%w: %s: %w", Err, q.alias, fmt.Errorf(format, args...))
	}
}

func (q *query) port() uint16 {
	n, err := strconv.ParseUint(cmp.Or(q.options.get("port"), "22"), 10, 16)
	if err != nil || n == 0 {
		q.fail("port %s is out of range", q.options.get("port"))
	}
	return uint16(n)
}

// hostName is the HostName in lower case. It has only the tokens %h (the name as typed)
// and %%. That of ssh -G is expanded already.
func (q *query) hostName() string {
	name := cmp.Or(q.options.get("hostname"), q.alias)
	if q.options.fromSSH() {
		return name
	}
	q.tokens = map[byte]string{'h': q.alias, '%': "%"}
	if q.options.get("hostname") != "" { // fe80::1%eth0 as the name has no tokens
		name = q.expand(name)
	}
	return asAddress(strings.ToLower(name), q.options.get("addressfamily"))
}

// asAddress is an IPv6 address as ssh has it from the C library: a00::0 is a00::, ::1:2 is
// ::0.1.0.2, fe80::1%2 is fe80::1%eth0. Everything else stays as it is, for family inet
// addresses too.
func asAddress(name, family string) string {
	a, err := netip.ParseAddr(name)
	if err != nil || !a.Is6() || family == "inet" {
		return name
	}
	zone := a.Zone()
	if zone != "" {
		if !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast() {
			return name
		}
		if n, err := strconv.Atoi(zone); err != nil {
			if _, err := net.InterfaceByName(zone); err != nil {
				return name
			}
		} else if dev, err := net.InterfaceByIndex(n); err == nil {
			zone = dev.Name
		}
	}
	b := a.As16()
	if [12]byte(b[:12]) == [12]byte{} && b[12]|b[13] != 0 {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.WithZone(zone).String()
}

// fillTokens takes the tokens from ssh -G, or makes those that a regular config may use.
func (q *query) fillTokens(r *Route) {
	q.tokens = q.options.tokens()
	if q.tokens == nil {
		q.tokens = map[byte]string{'u': LocalUser(), 'd': q.home}
	}
	q.tokens['h'], q.tokens['n'], q.tokens['p'], q.tokens['r'], q.tokens['%'] = r.Host, q.alias, strconv.Itoa(int(r.Port)), r.User, "%"
	q.tokens['j'] = r.Jump
}

// way sets the jump host or the proxy command. ssh uses the one that is configured
// first; after read only one of them is set.
func (q *query) way(r *Route) {
	if strings.EqualFold(r.Jump, "none") {
		r.Jump = ""
	}
	if r.Proxy == "" || strings.EqualFold(r.Proxy, "none") {
		r.Jump, r.Proxy = q.expand(r.Jump), ""
		return
	}
	if q.options.get("proxyusefdpass") == "yes" {
		q.fail("ProxyUseFdpass hands a socket over, which flock cannot take")
	}
	r.Jump, r.Proxy = "", q.expand(r.Proxy)
}

// defaultKeys are ssh's default identity files below ~/.ssh, in our order.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"}

func (q *query) keys(d Destination, r *Route) {
	if d.Identity != "" {
		r.Identities = []string{q.path(d.Identity)}
	}
	for _, f := range q.options.identities() {
		if !strings.EqualFold(f, "none") {
			r.Identities = append(r.Identities, q.path(f))
		}
		r.Named = true
	}
	r.Named = r.Named || d.Identity != ""
	if !r.Named {
		for _, name := range defaultKeys {
			r.Identities = append(r.Identities, filepath.Join(q.home, ".ssh", name))
		}
	}
	for _, f := range q.options["certificatefile"] {
		if !strings.EqualFold(f, "none") {
			r.Certificates = append(r.Certificates, q.path(f))
		}
	}
	r.Only = q.options.get("identitiesonly") == "yes"
	r.Batch = q.options.get("batchmode") == "yes"
	r.Password, r.Interactive = q.options.get("passwordauthentication") != "no", q.options.get("kbdinteractiveauthentication") != "no"
	switch sock := cmp.Or(q.options.get("identityagent"), "SSH_AUTH_SOCK"); {
	case sock == "SSH_AUTH_SOCK":
		r.Agent = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(sock, "$"):
		r.Agent = os.Getenv(strings.Trim(sock, "${}"))
	case !strings.EqualFold(sock, "none"):
		r.Agent = q.path(sock)
	}
}

func (q *query) hostKeys(r *Route) {
	r.KeyName = r.Addr()
	if alias := q.options.get("hostkeyalias"); alias != "" {
		r.KeyName = net.JoinHostPort(alias, "22") // ssh appends no port to an alias
	}
	for _, f := range fileList(cmp.Or(q.options.get("userknownhostsfile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2")) {
		if !strings.EqualFold(f, "none") {
			r.UserKnown = append(r.UserKnown, q.path(f))
		}
	}
	r.Known = slices.Clone(r.UserKnown)
	for _, f := range fileList(cmp.Or(q.options.get("globalknownhostsfile"), "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")) {
		if !strings.EqualFold(f, "none") {
			r.Known = append(r.Known, f) // ssh expands nothing there
		}
	}
	if f := q.options.get("revokedhostkeys"); f != "" && !strings.EqualFold(f, "none") {
		r.Revoked = q.path(f)
	}
	r.Strict = q.options.get("stricthostkeychecking")
	r.Hashing = q.options.get("hashknownhosts") == "yes"
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

// environment replaces ${NAME}. A variable that is not set is an error, as in ssh.
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

// expand replaces percent tokens. An unknown one is an error, as in ssh.
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

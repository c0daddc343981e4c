package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/kevinburke/ssh_config"
)

// sshConfig is the operator's ssh config: for every keyword the first file that
// has it wins, as in ssh.
type sshConfig struct {
	files []*ssh_config.Config
	home  string
}

// homeDir is $HOME, or in its absence (cron, some services) what the system has on
// record for the user.
func homeDir() (string, error) {
	if home, err := os.UserHomeDir(); err == nil {
		return home, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
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
	c := &sshConfig{home: home}
	paths := []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	if explicit != "" {
		paths = []string{explicit}
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if explicit == "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, hint.With(fmt.Errorf("%w: read: %w", ErrConfig, err), path, "ls -l "+path)
		}
		parsed, err := ssh_config.DecodeBytes(withoutMatch(data))
		if err != nil {
			return nil, hint.With(fmt.Errorf("%w: %s: %w", ErrConfig, path, err), path, "ssh -F "+path+" -G localhost")
		}
		c.files = append(c.files, parsed)
	}
	return c, nil
}

var matchLine = regexp.MustCompile(`(?mi)^([ \t]*)match[ \t=]+(.*)$`)

// withoutMatch turns Match blocks whose condition the parser refuses (exec, user,
// final, …) into Host blocks that fit nobody: such a block somewhere in the file
// must not make every server unreachable.
func withoutMatch(data []byte) []byte {
	return matchLine.ReplaceAllFunc(data, func(line []byte) []byte {
		if _, err := ssh_config.DecodeBytes(append(bytes.Clone(line), '\n')); err == nil {
			return line
		}
		return []byte("Host !*")
	})
}

// about is what c has for alias: to ask it is not to try all patterns of a file of
// many hosts for each of a dozen keys.
func (c *sshConfig) about(alias string) *sshConfig {
	out := &sshConfig{home: c.home}
	for _, f := range c.files {
		hosts := slices.DeleteFunc(slices.Clone(f.Hosts), func(h *ssh_config.Host) bool { return !h.Matches(alias) })
		out.files = append(out.files, &ssh_config.Config{Hosts: hosts})
	}
	return out
}

func (c *sshConfig) get(alias, key string) (string, error) {
	for _, f := range c.files {
		v, err := f.Get(alias, key)
		if err != nil {
			return "", fmt.Errorf("%w: %s of %s: %w", ErrConfig, key, alias, err)
		}
		if v != "" {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", nil
}

func (c *sshConfig) all(alias, key string) ([]string, error) {
	var out []string
	for _, f := range c.files {
		list, err := f.GetAll(alias, key)
		if err != nil {
			return nil, fmt.Errorf("%w: %s of %s: %w", ErrConfig, key, alias, err)
		}
		for _, v := range list {
			out = append(out, strings.Trim(v, `"`))
		}
	}
	return out, nil
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

	known   []string // files with known host keys, the first is written to
	strict  string   // StrictHostKeyChecking
	hashing bool     // HashKnownHosts
}

func (r *route) addr() string { return net.JoinHostPort(r.host, strconv.Itoa(int(r.port))) }

// id names the way to an account: equal ids may share a connection.
func (r *route) id() string {
	return strings.Join([]string{r.user, r.addr(), r.jump, r.proxy, strings.Join(r.identities, ":")}, " ")
}

// route asks the config about t. What t says itself wins.
func (c *sshConfig) route(t Target) (*route, error) {
	q := query{config: c.about(t.alias()), alias: t.alias()}
	r := &route{target: t, user: t.User, port: t.Port, network: "tcp"}
	if r.user == "" {
		r.user = q.or("User", localUser())
	}
	if r.port == 0 {
		r.port = q.port()
	}
	q.tokens = map[byte]string{'h': t.alias(), 'n': t.alias(), '%': "%"}
	r.host = q.expand(q.or("HostName", t.alias()))
	q.tokens = map[byte]string{
		'h': r.host, 'n': t.alias(), 'p': strconv.Itoa(int(r.port)), 'r': r.user,
		'u': localUser(), 'd': c.home, '%': "%",
	}
	switch q.get("AddressFamily") {
	case "inet":
		r.network = "tcp4"
	case "inet6":
		r.network = "tcp6"
	}
	q.way(t, r)
	q.keys(t, r)
	q.hostKeys(r)
	return r, hint.With(q.err, t.where(), "ssh -G "+t.alias())
}

// query asks the config about one alias and keeps the first error.
type query struct {
	config *sshConfig
	alias  string
	tokens map[byte]string // after a percent sign, see TOKENS in ssh_config(5)
	err    error
}

func (q *query) get(key string) string {
	v, err := q.config.get(q.alias, key)
	if q.err == nil {
		q.err = err
	}
	return v
}

func (q *query) or(key, otherwise string) string {
	if v := q.get(key); v != "" {
		return v
	}
	return otherwise
}

func (q *query) all(key string) []string {
	list, err := q.config.all(q.alias, key)
	if q.err == nil {
		q.err = err
	}
	return list
}

func (q *query) port() uint16 {
	n, err := strconv.ParseUint(q.or("Port", "22"), 10, 16)
	if q.err == nil && (err != nil || n == 0) {
		q.err = fmt.Errorf("%w: port of %s is out of range", ErrConfig, q.alias)
	}
	return uint16(n)
}

func (q *query) way(t Target, r *route) {
	r.jump = t.Jump
	if r.jump == "" {
		r.jump = q.expand(q.get("ProxyJump"))
	}
	if r.jump == "" {
		r.proxy = q.expand(q.get("ProxyCommand"))
	}
	if strings.EqualFold(r.jump, "none") {
		r.jump = ""
	}
	if strings.EqualFold(r.proxy, "none") {
		r.proxy = ""
	}
}

func (q *query) keys(t Target, r *route) {
	if t.Identity != "" {
		r.identities = []string{q.path(t.Identity)}
	}
	for _, f := range q.all("IdentityFile") {
		if !strings.EqualFold(f, "none") {
			r.identities = append(r.identities, q.path(f))
		}
		r.named = true
	}
	r.named = r.named || t.Identity != ""
	if !r.named {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			r.identities = append(r.identities, filepath.Join(q.config.home, ".ssh", name))
		}
	}
	for _, f := range q.all("CertificateFile") {
		r.certificates = append(r.certificates, q.path(f))
	}
	r.only = strings.EqualFold(q.get("IdentitiesOnly"), "yes")
	switch sock := q.or("IdentityAgent", "SSH_AUTH_SOCK"); {
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
	if alias := q.expand(q.get("HostKeyAlias")); alias != "" {
		r.keyName = net.JoinHostPort(alias, "22") // ssh appends no port to an alias
	}
	user := q.or("UserKnownHostsFile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
	global := q.or("GlobalKnownHostsFile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
	for _, f := range append(words(user), words(global)...) {
		if !strings.EqualFold(f, "none") {
			r.known = append(r.known, q.path(f))
		}
	}
	r.strict = strings.ToLower(q.get("StrictHostKeyChecking"))
	r.hashing = strings.EqualFold(q.get("HashKnownHosts"), "yes")
}

// path expands tokens, environment and a leading tilde.
func (q *query) path(s string) string {
	s = os.Expand(q.expand(s), func(name string) string { return os.Getenv(name) })
	if rest, ok := strings.CutPrefix(s, "~/"); ok {
		return filepath.Join(q.config.home, rest)
	}
	return s
}

// expand replaces percent tokens. One that is not known stays as it is.
func (q *query) expand(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+1 < len(s) {
			if v, ok := q.tokens[s[i+1]]; ok {
				b.WriteString(v)
				i++
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// words splits at blanks outside double quotes.
func words(s string) []string {
	quoted := false
	fields := strings.FieldsFunc(s, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return !quoted && (c == ' ' || c == '\t')
	})
	for i, f := range fields {
		fields[i] = strings.Trim(f, `"`)
	}
	return fields
}

package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/target"
)

// sshSays is what ssh -G makes of the config at path for to.
func sshSays(t testing.TB, path string, to Destination) (options, error) {
	t.Helper()
	args := []string{"-G", "-F", path}
	if to.User != "" {
		args = append(args, "-l", to.User)
	}
	if to.Port != 0 {
		args = append(args, "-p", strconv.Itoa(int(to.Port)))
	}
	out, err := exec.CommandContext(t.Context(), "ssh", append(args, "--", to.Alias)...).Output()
	o := readAnswer(string(out))
	return o, err
}

// held compares what flock took from a config with what ssh says.
func held(r *Route, o options) string {
	var out []string
	check := func(what string, have, want any) {
		if !reflect.DeepEqual(have, want) {
			out = append(out, fmt.Sprintf("%s: ssh has %q, flock %q", what, want, have))
		}
	}
	check("HostName", r.Host, strings.ToLower(o.get("hostname"))) // ssh leaves addresses as they are typed
	check("Port", strconv.Itoa(int(r.Port)), o.get("port"))
	check("User", r.User, o.get("user"))
	check("AddressFamily", r.Network, map[string]string{"any": "tcp", "inet": "tcp4", "inet6": "tcp6"}[o.get("addressfamily")])
	check("IdentitiesOnly", r.Only, o.get("identitiesonly") == "yes")
	check("HashKnownHosts", r.Hashing, o.get("hashknownhosts") == "yes")
	strict := r.Strict
	if strict == "" {
		strict = "ask"
	}
	check("StrictHostKeyChecking", strict, o.get("stricthostkeychecking"))
	if alias := o.get("hostkeyalias"); alias != "" {
		check("HostKeyAlias", r.KeyName, alias+":22")
	}
	check("a ProxyCommand", r.Proxy != "", o.get("proxycommand") != "" && o.get("proxycommand") != "none")
	check("a ProxyJump", r.Jump != "", o.get("proxyjump") != "" && o.get("proxyjump") != "none")
	asked := o["identityfile"]
	if len(asked) < 3 { // ssh's defaults are more
		asked = slices.DeleteFunc(slices.Clone(asked), func(f string) bool { return f == "none" })
		check("IdentityFiles", len(r.Identities), len(asked))
	}
	return strings.Join(out, "\n")
}

// configCase is a config, a host, and what of the route is to be looked at beside what
// ssh -G says.
type configCase struct {
	name, config string
	to           Destination
	odd          bool              // ssh has to be asked
	want         map[string]string // fields of the route by name
}

// field is a field of r as text; HOME and DIR stand for the home and the test's directory.
func field(r *Route, name, home, dir string) string {
	text := map[string]string{
		"host": r.Host, "user": r.User, "port": strconv.Itoa(int(r.Port)), "jump": r.Jump, "proxy": r.Proxy, "keyName": r.KeyName,
		"identities": strings.Join(r.Identities, " "), "certificates": strings.Join(r.Certificates, " "), "agent": r.Agent,
		"known": strings.Join(r.Known, " "), "userKnown": strings.Join(r.UserKnown, " "), "revoked": r.Revoked, "strict": r.Strict,
	}[name]
	return strings.NewReplacer(dir, "DIR", home, "HOME").Replace(text)
}

func configCases() []configCase {
	a := Destination{Alias: "a"}
	return []configCase{
		// Plain ones, which are read here.
		{"empty", "", a, false, map[string]string{"host": "a", "port": "22"}},
		{"comment and blank lines", "# x\n\n   # y\nHost a\n\n  Port 23\n", a, false, map[string]string{"port": "23"}},
		{"tabs", "Host\ta\n\tPort\t23\n", a, false, map[string]string{"port": "23"}},
		{"the first wins", "Host a\n Port 23\nHost *\n Port 24\n User u\n", a, false, map[string]string{"port": "23", "user": "u"}},
		{"pattern", "Host web-?\n Port 23\nHost *.lan\n Port 24\n", Destination{Alias: "web-1"}, false, map[string]string{"port": "23"}},
		{"negated", "Host * !a\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"negated for others", "Host * !b\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"case of keywords", "HOST a\n pOrT 23\n", a, false, map[string]string{"port": "23"}},
		{"HostName with the name", "Host a\n HostName %h.example.com\n", a, false, map[string]string{"host": "a.example.com"}},
		{"an address", "Host 10.0.*\n User u\n", Destination{Alias: "10.0.0.1"}, false, map[string]string{"user": "u", "host": "10.0.0.1"}},
		{"an IPv6 address in another way", "HostName A00::0\n", a, false, map[string]string{"host": "a00::"}},
		{"an IPv6 address as the name", "", Destination{Alias: "1:0:0:2:0:0:0:3"}, false, map[string]string{"host": "1:0:0:2::3"}},
		{"an IPv6 address in upper case", "HostName ABCD::1\n", a, false, map[string]string{"host": "abcd::1"}},
		{"leading zeros", "HostName 0010::0001\n", a, false, map[string]string{"host": "10::1"}},
		{"IPv4 in IPv6", "HostName ::ffff:0a00:0001\n", a, false, map[string]string{"host": "::ffff:10.0.0.1"}},
		{"compatible with IPv4", "HostName ::1:2\n", a, false, map[string]string{"host": "::0.1.0.2"}},
		{"hardly compatible", "HostName 0::2\n", a, false, map[string]string{"host": "::2"}},
		{"translated", "HostName 64:ff9b::10.0.0.1\n", a, false, map[string]string{"host": "64:ff9b::a00:1"}},
		{"a zone", "HostName fe80:0::1%%lo\n", a, false, map[string]string{"host": "fe80::1%lo"}},
		{"a zone by its number", "", Destination{Alias: "fe80:0::1%1"}, false, map[string]string{"host": "fe80::1%lo"}},
		{"a zone in the final pass", "Match final host fe80::1%lo\n User y\n", Destination{Alias: "fe80:0::1%lo"}, false, map[string]string{"host": "fe80::1%lo", "user": "y"}},
		{"a zone that is none", "HostName fe80:0::1%%nope\n", a, false, map[string]string{"host": "fe80:0::1%nope"}},
		{"a zone where none is", "HostName 2001:db8:0::1%%lo\n", a, false, map[string]string{"host": "2001:db8:0::1%lo"}},
		{"an IPv6 address for IPv4", "HostName A00::0\nAddressFamily inet\n", a, false, map[string]string{"host": "a00::0"}},
		{"an IPv6 address, matched in the end", "HostName A00::0\nMatch final host a00::\n User y\n", a, false, map[string]string{"host": "a00::", "user": "y"}},
		{"the target wins", "Host a\n User u\n Port 23\n", Destination{Alias: "a", User: "me", Port: 24}, false, map[string]string{"user": "me", "port": "24"}},
		{"identities add up", "Host a\n IdentityFile ~/.ssh/one\nHost *\n IdentityFile /two\n", a, false, map[string]string{"identities": "HOME/.ssh/one /two"}},
		{"identity tokens", "Host a\n User u\n IdentityFile ~/.ssh/%r@%h-%%\n", a, false, map[string]string{"identities": "HOME/.ssh/u@a-%"}},
		{"identity none", "Host a\n IdentityFile none\n", a, false, map[string]string{"identities": ""}},
		{"default identities", "", a, false, map[string]string{"identities": "HOME/.ssh/id_ed25519 HOME/.ssh/id_ecdsa HOME/.ssh/id_rsa HOME/.ssh/id_ed25519_sk HOME/.ssh/id_ecdsa_sk"}},
		{"certificates", "Host a\n CertificateFile ~/c\n CertificateFile /d\n", a, false, map[string]string{"certificates": "HOME/c /d"}},
		{"IdentitiesOnly", "IdentitiesOnly yes\n", a, false, nil},
		{"agent none", "IdentityAgent none\n", a, false, map[string]string{"agent": ""}},
		{"agent by name", "IdentityAgent SSH_AUTH_SOCK\n", a, false, map[string]string{"agent": "/sock"}},
		{"agent by path", "IdentityAgent ~/agent\n", a, false, map[string]string{"agent": "HOME/agent"}},
		{"HostKeyAlias is no pattern", "Host a\n HostKeyAlias alias\n Port 23\n", a, false, map[string]string{"keyName": "alias:22"}},
		{"AddressFamily", "AddressFamily inet6\n", a, false, nil},
		{"known hosts", "UserKnownHostsFile ~/k1 /k2\nGlobalKnownHostsFile /g\n", a, false, map[string]string{"known": "HOME/k1 /k2 /g", "userKnown": "HOME/k1 /k2"}},
		{"no known hosts", "UserKnownHostsFile none\nGlobalKnownHostsFile none\n", a, false, map[string]string{"known": ""}},
		{"user's none", "UserKnownHostsFile none\nGlobalKnownHostsFile /g\n", a, false, map[string]string{"known": "/g", "userKnown": ""}},
		{"revoked", "RevokedHostKeys ~/revoked\n", a, false, map[string]string{"revoked": "HOME/revoked"}},
		{"strict", "StrictHostKeyChecking accept-new\nHashKnownHosts yes\n", a, false, map[string]string{"strict": "accept-new"}},
		{"strict off", "StrictHostKeyChecking off\n", a, false, map[string]string{"strict": "no"}},
		{"jump", "Host a\n ProxyJump u@j:23,k\n", a, false, map[string]string{"jump": "u@j:23,k"}},
		{"jump none first", "Host a\n ProxyJump none\nHost *\n ProxyJump j\n", a, false, map[string]string{"jump": ""}},
		{"proxy", "Host a\n ProxyCommand nc -x proxy %h %p\n", a, false, map[string]string{"proxy": "nc -x proxy a 22"}},
		{"include", "Include DIR/inc/*.conf\nHost a\n Port 25\n", a, false, map[string]string{"port": "2200", "user": "inc"}},
		{"include of nothing", "Include DIR/none/*.conf\nPort 25\n", a, false, map[string]string{"port": "25"}},
		{"nested include", "Include DIR/nest\nPort 25\n", a, false, map[string]string{"port": "2200"}},
		{"Debian's stock", "Include DIR/none/*.conf\nHost *\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n    GSSAPIAuthentication yes\n", a, false, nil},
		{"Arch's stock", "Include DIR/none/*.conf\n", a, false, nil},
		{"Match host", "Match host a\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match host of others", "Match host b\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"Match host list", "Match host b,a,c\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match host negated", "Match !host a\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"Match user", "Match user root host a\n Port 23\n", Destination{Alias: "a", User: "root"}, false, map[string]string{"port": "23"}},
		{"Match other user", "Match user root host a\n Port 23\n", Destination{Alias: "a", User: "bob"}, false, map[string]string{"port": "22"}},
		{"Match localuser", "Match localuser ME\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match other localuser", "Match localuser nosuch\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"Match originalhost", "Host a\n HostName b\nMatch originalhost a\n Port 23\n", a, false, map[string]string{"port": "23", "host": "b"}},
		{"Match all", "Match all\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match final", "Host a\n HostName b\nMatch final host b\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match final all", "Match final all\n Include DIR/inc/*.conf\n", a, false, map[string]string{"port": "2200"}},
		{"Match canonical", "Match canonical all\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"Fedora's stock", "Include DIR/fedora/*.conf\n", a, false, map[string]string{"port": "22"}},
		{"Ubuntu's and macOS's stock", "Include DIR/none/*\nHost *\n    SendEnv LANG LC_*\n", a, false, nil},
		{"Match in an include", "Include DIR/match\nPort 24\n", a, false, map[string]string{"port": "23"}},
		{"include below Host", "Host b\n Include DIR/inc/*.conf\nHost a\n Port 24\n", a, false, map[string]string{"port": "24"}},
		{"proxy before jump", "Host a\n ProxyCommand nc %h %p\n ProxyJump j\n", a, false, map[string]string{"proxy": "nc a 22", "jump": ""}},
		{"jump before proxy", "Host a\n ProxyJump j\n ProxyCommand nc %h %p\n", a, false, map[string]string{"jump": "j", "proxy": ""}},
		{"jump that matches itself", "Match host a,j\n ProxyJump j\n", a, false, map[string]string{"jump": "j"}},
		{"user in an address", "Match host 10.0.0.1 user root\n Port 23\n", Destination{Alias: "10.0.0.1", User: "root"}, false, map[string]string{"port": "23"}},
		{"IPv6", "Match host fd00::1\n Port 23\n", Destination{Alias: "fd00::1"}, false, map[string]string{"port": "23", "host": "fd00::1"}},
		{"Match host by HostName", "Host a\n HostName B.example\nMatch host *.EXAMPLE\n Port 23\nMatch host a\n User u\n", a, false, map[string]string{"port": "23", "host": "b.example"}},
		{"Match host by %h", "Host a\n HostName %h.example\nMatch host a.example\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match host before HostName", "Match host b\n Port 23\nHost a\n HostName b\n", a, false, map[string]string{"port": "22"}},
		{"capitals", "Host a\n Port 23\nMatch host A\n User u\nHost A\n User v\n", Destination{Alias: "A"}, false, map[string]string{"user": "u"}},
		{"a list with an exception", "Match host *,!a\n Port 23\nMatch host !b,?\n User u\n", a, false, map[string]string{"port": "22", "user": "u"}},
		{"Match user by User", "Host a\n User bob\nMatch user bob,eve host a\n Port 23\nMatch !user bob\n Port 24\n", a, false, map[string]string{"port": "23"}},
		{"negated originalhost", "Match !originalhost b !localuser nosuch\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"Match all ends a Host", "Host b\n Port 23\nMatch all\n User u\n", a, false, map[string]string{"port": "22", "user": "u"}},
		{"Host in the final pass", "Match final all\n IdentitiesOnly yes\nHost real\n Port 23\nHost a\n HostName real\n", a, false, map[string]string{"port": "23", "host": "real"}},
		{"identities in two passes", "IdentityFile /one\nMatch final all\n IdentityFile /two\nHost a\n IdentityFile /one\n", a, false, map[string]string{"identities": "/one /two"}},
		{"negated final", "Match !final host a\n Port 23\nMatch final\n Port 24\n User u\n", a, false, map[string]string{"port": "23", "user": "u"}},
		{"canonical in the final pass", "Match canonical all\n Port 23\nMatch final all\n User u\n", a, false, map[string]string{"port": "23", "user": "u"}},
		{"include below another Host", "Host b\n Include DIR/hosts\n Port 25\nHost *\n Port 26\n", a, false, map[string]string{"port": "26"}},
		{"include below Match", "Match host a\n Include DIR/hosts\n HashKnownHosts yes\nHost *\n Port 26\n", a, false, map[string]string{"port": "2300", "user": "inc"}},
		{"exec of others", "Match host b exec \"touch /none/x\"\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"exec of another user in an include", "Host *\n Include DIR/bad\n", Destination{Alias: "a", User: "bob"}, false, map[string]string{"port": "22"}},
		{"what is nothing to flock", "Host a\n ControlPath ~/.ssh/%C\n SetEnv A=\"b c\" # x\n LocalForward=80 localhost:80\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"jump none, then a proxy", "Host a\n ProxyJump none\n ProxyCommand nc %h %p\n", a, false, map[string]string{"jump": "", "proxy": "nc a 22"}},
		{"proxy none, then a jump", "Host a\n ProxyCommand none\n ProxyJump j\n", a, false, map[string]string{"jump": "", "proxy": ""}},
		{"the same identity twice", "IdentityFile /one\nHost a\n IdentityFile /one\n", a, false, map[string]string{"identities": "/one"}},
		{"a false exec", "Match host a exec false\n HostName other.example\n", a, false, map[string]string{"host": "a"}},
		{"a true exec", "Match host a exec true\n HostName other.example\n", a, false, map[string]string{"host": "other.example"}},
		{"a true exec of its own", "Match host a exec \"true\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"final behind an exec", "Match host b exec true final\n Port 23\nHost a\n HostName c\nHost c\n Port 24\n", a, false, map[string]string{"port": "24"}},
		{"exec with tokens", "Match exec \"test %n = a\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"negated exec", "Match !exec false\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"exec with all of our tokens", "Host a\n HostName B%h\n User bob\nMatch exec \"test '%n %r %p %u %%' = 'a bob 22 ME %%'\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"exec by HostName", "Host a\n HostName b.%h\nMatch exec \"test %h = b.a\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"exec by the port and user told", "Port 24\nMatch exec \"test %p%r = 77bob\"\n User u\n IdentityFile /yes\n", Destination{Alias: "a", User: "bob", Port: 77}, false, map[string]string{"identities": "/yes"}},
		{"exec with what a shell knows", "Match exec \"test $((1+1)) = 2 && ! false; true # '\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"exec between criteria", "Match originalhost a exec \"true\" user bob\n Port 23\nMatch exec false !exec true\n Port 24\n", Destination{Alias: "a", User: "bob"}, false, map[string]string{"port": "23"}},
		{"exec behind what does not hold", "Match host b exec \"test %h = %h\" !final\n Port 23\n", a, false, map[string]string{"port": "22"}},
		{"exec in the final pass", "Host a\n HostName c\nMatch final exec \"test %h = c\"\n Port 23\n", a, false, map[string]string{"port": "23"}},
		{"exec in an include that does not count", "Host b\n Include DIR/runs\nHost a\n User u\n", a, false, map[string]string{"port": "22", "user": "u"}},

		// Those that ssh is asked about.
		{"exec with a rare token", "Match exec \"test -n %l\"\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"exec with capitals", "Host a\n HostName B\nMatch exec \"test %h = B\"\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"exec of a variable", "Match exec $TRUE\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"exec and a comment", "Match exec \"true\" # x\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"Match with quotes", "Match host \"a\"\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"Match with a comment", "Match host a # x\n Port 23\n", a, true, map[string]string{"port": "23"}},
		{"an address by its number", "HostName 10.1\n", a, true, map[string]string{"host": "10.0.0.1"}},
		{"equals signs", "Host=a\n Port=23\n User = u\n", a, true, map[string]string{"port": "23", "user": "u"}},
		{"quotes", "Host a\n IdentityFile \"~/my keys/id\"\n", a, true, map[string]string{"identities": "HOME/my keys/id"}},
		{"quoted keyword value", "Host \"a\"\n Port \"23\"\n", a, true, map[string]string{"port": "23"}},
		{"trailing comment", "Host a # x\n Port 23 # y\n", a, true, map[string]string{"port": "23"}},
		{"CRLF", "Host a\r\n Port 23\r\n", a, true, map[string]string{"port": "23"}},
		{"proxy with quotes", "Host a\n ProxyCommand sh -c \"nc '%h' %p\" # %r\n User u\n", a, true, map[string]string{"proxy": "sh -c \"nc 'a' 22\" # u"}},
		{"rare tokens", "Host a\n HostKeyAlias k\n IdentityFile /%i/%k/as-%u/%%\n", a, true, map[string]string{"identities": "/UID/k/as-ME/%"}},
		{"a hash of it all", "Host a\n IdentityFile /%C\n", a, true, nil},
		{"environment", "Host a\n IdentityFile ${KEYS}/id\n CertificateFile ${KEYS}/c\n", a, true, map[string]string{"identities": "/keys/id", "certificates": "/keys/c"}},
		{"agent by variable", "IdentityAgent $OTHER_SOCK\n", a, true, map[string]string{"agent": "/other"}},
		{"known hosts with a blank", "UserKnownHostsFile \"/a b/k\" ~/k\n", a, true, map[string]string{"userKnown": "/a b/k HOME/k"}},
		{"canonical names", "CanonicalizeHostname yes\nCanonicalDomains example.invalid\nCanonicalizeFallbackLocal yes\n", a, true, map[string]string{"host": "a"}},
	}
}

// oddFor is what ssh is asked about d for; nil if it is not.
func (c *Config) oddFor(d Destination) *oddity {
	if c.odd != nil {
		return c.odd
	}
	_, odd := read(c.entries, d, func(command string) (bool, bool) { return c.asked.holds(context.Background(), command) })
	return odd
}

// TestConfigAsSSHReadsIt holds what flock takes from a config against OpenSSH's word.
func TestConfigAsSSHReadsIt(t *testing.T) {
	t.Setenv("KEYS", "/keys")
	t.Setenv("TRUE", "true")
	t.Setenv("SHELL", "/bin/sh")
	t.Setenv("SSH_AUTH_SOCK", "/sock")
	t.Setenv("OTHER_SOCK", "/other")
	home := must(homeDir())
	t.Setenv("HOME", home)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"runs": "Match exec true\n Port 77\n", "bad": "Match user root exec \"touch x\"\n Port 77\n", "hosts": "Host a\n Port 2300\nHost *\n User inc\nMatch all\n IdentitiesOnly yes\n",
		"inc/a.conf": "Host a\n Port 2200\n", "inc/b.conf": "Host *\n User inc\n",
		"nest": "Include " + dir + "/inc/*.conf\n", "match": "Match host a\n Port 23\n",
		"fedora/50-redhat.conf": "Match final all\n\tForwardX11Trusted yes\n",
	} {
		writeText(t, filepath.Join(dir, name), text)
	}
	for _, test := range configCases() {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			writeText(t, path, strings.NewReplacer("DIR", dir, "ME", LocalUser()).Replace(test.config))
			c, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if odd := c.oddFor(test.to); (odd != nil) != test.odd {
				t.Errorf("ssh is asked: want %v, have %+v", test.odd, odd)
			}
			r, err := c.Route(t.Context(), test.to)
			if err != nil {
				t.Fatal(err)
			}
			o, err := sshSays(t, path, test.to)
			if err != nil {
				t.Fatal(err)
			}
			if text := held(r, o); text != "" {
				t.Error(text)
			}
			for name, want := range test.want {
				want = strings.NewReplacer("UID", strconv.Itoa(os.Getuid()), "ME", LocalUser()).Replace(strings.ReplaceAll(want, "HOME", "\x00"))
				want = strings.ReplaceAll(want, "\x00", "HOME")
				if have := field(r, name, home, dir); have != want {
					t.Errorf("%s: want %q, have %q", name, want, have)
				}
			}
		})
	}
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNoSSHToAsk: what only ssh can evaluate is refused by file and line where there is
// no ssh; a plain config needs none.
func TestNoSSHToAsk(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, "Host b\n Port 23\nMatch host a exec \"test %l\"\n HostName other\n")
	c := must(Read(path))
	_, err := c.Route(t.Context(), Destination{Alias: "a"})
	if where, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), path+":3") || where != path+":3" || next == "" {
		t.Errorf("where %q, next %q: %v", where, next, err)
	}
	writeText(t, path, "Host b\n Port 23\n")
	if r, err := must(Read(path)).Route(t.Context(), Destination{Alias: "b"}); err != nil || r.Port != 23 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestSSHIsAskedOnce: of every host, however often it is dialled; and what a plain Match
// exec runs runs once, whoever it is about.
func TestSSHIsAskedOnce(t *testing.T) {
	for command, want := range map[string]string{"echo %n >>COUNT; test %l": "a\nb\n", "echo %n >>COUNT": "a\nb\n", "echo x >>COUNT": "x\n"} {
		dir := t.TempDir()
		path, count := filepath.Join(dir, "config"), filepath.Join(dir, "count")
		writeText(t, path, "Match exec \""+strings.ReplaceAll(command, "COUNT", count)+"\"\n Port 23\n")
		c := must(Read(path))
		for range 3 {
			for _, name := range []string{"a", "b"} {
				if r, err := c.Route(t.Context(), Destination{Alias: name}); err != nil || r.Port != 23 {
					t.Fatalf("%+v, %v", r, err)
				}
			}
		}
		if data := must(os.ReadFile(count)); string(data) != want {
			t.Errorf("%s: asked about %q", command, data)
		}
	}
}

// TestMatchExecThatHangs: it ends with what asked, the processes that it started too.
func TestMatchExecThatHangs(t *testing.T) {
	dir := t.TempDir()
	path, pid := filepath.Join(dir, "config"), filepath.Join(dir, "pid")
	writeText(t, path, "Match exec \"sleep 1000 & echo $! >"+pid+"; wait\"\n Port 23\n")
	c := must(Read(path))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Route(ctx, Destination{Alias: "a"})
		done <- err
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var id int
	for ; id == 0; <-tick.C {
		text, _ := os.ReadFile(pid)
		id, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("it came to an end")
	}
	for ; syscall.Kill(id, 0) == nil; <-tick.C { // until whoever takes orphans has reaped it
		if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id)); strings.Contains(string(state), ") Z ") {
			return
		}
	}
}

// TestSSHThatComplains: what ssh cannot read is said in its words.
func TestSSHThatComplains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, "Match exec \"test %l\"\n Port many\n")
	_, err := must(Read(path)).Route(t.Context(), Destination{Alias: "a"})
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("have %v", err)
	}
}

// TestRefusesAsSSH: names that a config gives are refused where ssh refuses them.
func TestRefusesAsSSH(t *testing.T) {
	for _, name := range []string{"h", "a b", "a$b", "a`b", "a;b", `a\b`, "a{b", "fe80::1", "a'b", "a*", "a,b"} {
		said, _ := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-G", "--", name).CombinedOutput()
		want := strings.Contains(string(said), "invalid characters")
		c := &Config{home: "/nowhere"}
		_, err := c.Route(t.Context(), Destination{Alias: name})
		if (err != nil) != want {
			t.Errorf("%q: %v, ssh refuses it: %v", name, err, want)
		}
	}
}

// TestConfigThatNeverEnds: a config may be anything that has a name.
func TestConfigThatNeverEnds(t *testing.T) {
	if _, err := Read("/dev/zero"); !errors.Is(err, Err) {
		t.Errorf("a device for a config: %v", err)
	}
}

// TestHomeWithoutHOME: cron and some services set none, and ssh needs none.
func TestHomeWithoutHOME(t *testing.T) {
	t.Setenv("HOME", "")
	c, err := Read(os.DevNull)
	if err != nil || !filepath.IsAbs(c.home) {
		t.Fatalf("home %v, %v", c, err)
	}
}

// FuzzConfig: whatever flock reads by itself, ssh reads alike.
func FuzzConfig(f *testing.F) {
	for _, test := range configCases() {
		f.Add(test.config, test.to.Alias, test.to.User)
	}
	home := must(homeDir())
	// No command of a Match exec is run, whatever it is; this tells how it ended.
	shell := filepath.Join(f.TempDir(), "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\ncase \"$2\" in *[0-9ab]*) exit 1;; esac\n"), 0o700); err != nil { //nolint:gosec // a program
		f.Fatal(err)
	}
	f.Setenv("SHELL", shell)
	f.Fuzz(func(t *testing.T, text, name, user string) {
		entries, odd := scanFile("config", []byte(text), home, home)
		if odd != nil || strings.Contains(strings.ToLower(text), "include") {
			return
		}
		asked := Destination{Alias: name, User: user}
		ran := &Config{entries: entries}
		if ran.oddFor(asked) != nil || target.CheckHost(name) != nil || user != "" && target.CheckUser(user) != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "config")
		writeText(t, path, text)
		o, err := sshSays(t, path, asked)
		if err != nil {
			return // it is no config to ssh
		}
		if target.CheckHost(o.get("hostname")) != nil || target.CheckUser(o.get("user")) != nil {
			return // refused here, as ssh refuses it when it connects
		}
		r, err := must(Read(path)).Route(t.Context(), asked)
		if err != nil {
			t.Fatalf("ssh reads it, flock says %v:\n%q", err, text)
		}
		if text := held(r, o); text != "" {
			t.Error(text)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package remote

import (
	"cmp"
	"net"
	"net/netip"
	"os/user"
	"regexp"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Local is the reserved name of the workstation itself as a server.
const Local = "local"

// Target is a server as the operator named it. What is empty or zero comes from
// ssh's config, then from ssh's defaults.
type Target struct {
	Name     string // the server's name; Local is this machine
	User     string
	Host     string // host name or IP address; empty: Name is an alias in ssh's config
	Port     uint16
	Identity string  // key file
	Jump     string  // as ssh -J: [USER@]HOST[:PORT],…; "none" for no jump
	Arch     string  // GOARCH where it is known: spares a look at first contact
	Variant  Variant // of the agent: what the server must be able to do

	behind string // this is a jump host: the server that is wanted
}

func (t Target) where() string {
	if t.behind != "" {
		return "server " + t.behind + ", jump host " + t.Name
	}
	return "server " + t.Name
}

// wanted is the name of the server that the operator knows.
func (t Target) wanted() string { return cmp.Or(t.behind, t.Name) }

// alias is the name that ssh's config is asked about: what would be typed to ssh.
func (t Target) alias() string {
	if t.Host != "" {
		return t.Host
	}
	return t.Name
}

func (t Target) local() bool { return t.Name == Local && t.Host == "" }

const targetForm = "[USER@]ADDRESS[:PORT], an IPv6 address in brackets"

var (
	hostForm  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
	userForm  = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.\\+$-]*$`)
	digitForm = regexp.MustCompile(`^[0-9.]+$`)
)

// ParseTarget reads [USER@]ADDRESS[:PORT]. An IPv6 address stands in brackets
// where a port follows. What is not given is empty or 0.
func ParseTarget(s string) (user, host string, port uint16, err error) {
	rest := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		user, rest = s[:at], s[at+1:]
		if !userForm.MatchString(user) {
			return "", "", 0, hint.Errorf("", targetForm, "%q has no user name before the @", s)
		}
	}
	host, digits, bracketed, err := splitPort(s, rest)
	if err != nil {
		return "", "", 0, err
	}
	if digits != "" {
		if port, err = parsePort(s, digits); err != nil {
			return "", "", 0, err
		}
	}
	return user, host, port, checkHost(s, host, bracketed)
}

// FormatTarget writes what ParseTarget reads. What is empty or 0 is left out.
func FormatTarget(user, host string, port uint16) string {
	if user != "" {
		user += "@"
	}
	if port == 0 {
		return user + host
	}
	return user + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// splitPort takes rest apart into host and the digits of the port.
func splitPort(s, rest string) (host, digits string, bracketed bool, err error) {
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		host, after, closed := strings.Cut(inner, "]")
		digits, colon := strings.CutPrefix(after, ":")
		if !closed || after != "" && (!colon || digits == "") {
			return "", "", false, hint.Errorf("", targetForm, "%q is not an address", s)
		}
		return host, digits, true, nil
	}
	if strings.Count(rest, ":") > 1 { // an IPv6 address without port
		return rest, "", true, nil
	}
	host, digits, colon := strings.Cut(rest, ":")
	if colon && digits == "" {
		return "", "", false, hint.Errorf("", targetForm, "%q has no port after the colon", s)
	}
	return host, digits, false, nil
}

func parsePort(s, digits string) (uint16, error) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || digits[0] == '+' {
		return 0, hint.Errorf("", "a port from 1 to 65535", "port %q of %q is out of range", digits, s)
	}
	return uint16(n), nil
}

func checkHost(s, host string, bracketed bool) error {
	if host == "" {
		return hint.Errorf("", targetForm, "%q has no address", s)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil && bracketed:
		return hint.Errorf("", targetForm, "%q is not an IPv6 address", host)
	case err == nil && bracketed && !addr.Is6():
		return hint.Errorf("", targetForm, "%q stands in brackets and is not an IPv6 address", host)
	case err == nil && (addr.IsUnspecified() || addr.IsMulticast()):
		return hint.Errorf("", targetForm, "%s is not the address of a server", addr)
	case err == nil && addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		return hint.Errorf("", "["+host+"%INTERFACE], or an address that is not link-local",
			"link-local address %s does not say on which interface", addr)
	case err == nil && addr.Zone() != "" && !hostForm.MatchString(addr.Zone()):
		return hint.Errorf("", targetForm, "%q names no interface after the %%", host)
	case err == nil:
		return nil
	case digitForm.MatchString(host):
		return hint.Errorf("", targetForm, "%q is not an IPv4 address", host)
	case len(host) > 253 || !hostForm.MatchString(host): // RFC 1035: 255 bytes on the wire
		return hint.Errorf("", targetForm, "%q is not a host name", host)
	}
	return nil
}

// hops takes a jump list apart: the last hop, and the list before it.
func hops(jump string) (last, before string) {
	if i := strings.LastIndexByte(jump, ','); i >= 0 {
		return strings.TrimSpace(jump[i+1:]), strings.TrimSpace(jump[:i])
	}
	return strings.TrimSpace(jump), ""
}

// hop is one jump on the way to t as a target of its own. Before is the way to it.
func (t Target) hop(name, before string) (Target, error) {
	name = strings.TrimPrefix(name, "ssh://")
	user, host, port, err := ParseTarget(strings.TrimSuffix(name, "/"))
	return Target{Name: name, User: user, Host: host, Port: port, Jump: before, behind: t.wanted()}, err
}

func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

// Package target owns the syntax of how a server is reached: user, host and port, jump
// hosts, key file. Flags, the cluster file and ssh's config are checked by the same
// functions, so that none accepts what another refuses.
//
// It looks nothing up: it opens no file and reads no ssh config.
package target

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

const targetForm = "[USER@]ADDRESS[:PORT], an IPv6 address in brackets"

var (
	hostForm  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
	userForm  = regexp.MustCompile(`^[A-Za-z0-9_.]([A-Za-z0-9_.\\+$-]*[A-Za-z0-9_.+$-])?$`)
	digitForm = regexp.MustCompile(`^[0-9.]+$`)
)

// Lengths in bytes: a host's of RFC 1035 (255 on the wire), a user's as Linux has it
// (LOGIN_NAME_MAX), a path's (PATH_MAX).
const (
	maxHost = 253
	maxUser = 256
	maxPath = 4096
)

// Parse reads [USER@]ADDRESS[:PORT]. An IPv6 address is written in brackets
// where a port follows. What is not given is empty or 0.
func Parse(s string) (user, host string, port uint16, err error) {
	rest := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		user, rest = s[:at], s[at+1:]
		if user == "" {
			return "", "", 0, hint.Errorf("", targetForm, "%q has no user name before the @", s)
		}
		if err := CheckUser(user); err != nil {
			return "", "", 0, err
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

// Format writes what Parse reads. What is empty or 0 is left out.
func Format(user, host string, port uint16) string {
	if user != "" {
		user += "@"
	}
	if port == 0 {
		return user + host
	}
	return user + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// CheckUser refuses what is not the name of a user, as Parse does.
func CheckUser(user string) error {
	if len(user) > maxUser || !userForm.MatchString(user) {
		return hint.Errorf("", "a name of letters, digits and . _ - + $, a backslash between", "%q is not a user name", user)
	}
	return nil
}

// CheckHost refuses what is neither a host name nor an address, as Parse does. An
// IPv6 address has no brackets here.
func CheckHost(host string) error { return checkHost(host, host, false) }

// CheckJump refuses what is no way through jump hosts, as ssh -J has it:
// [USER@]HOST[:PORT], several with commas, or none.
func CheckJump(jump string) error {
	if strings.EqualFold(jump, "none") {
		return nil
	}
	for hop := range strings.SplitSeq(jump, ",") {
		if _, _, _, err := ParseHop(strings.TrimSpace(hop)); err != nil {
			return err
		}
	}
	return nil
}

// ParseHop reads one jump host: what Parse reads, or that as an ssh URI.
func ParseHop(s string) (user, host string, port uint16, err error) {
	s = strings.TrimPrefix(s, "ssh://")
	return Parse(strings.TrimSuffix(s, "/"))
}

// CheckIdentity refuses what is no name of a key file. Whether there is one is not
// looked at.
func CheckIdentity(file string) error {
	switch {
	case file == "" || len(file) > maxPath:
		return hint.Errorf("", "the path of a private key", "a key file's name has 1 to %d bytes", maxPath)
	case strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return hint.Errorf("", "the path of a private key", "%q has control characters and is no key file's name", file)
	case strings.HasPrefix(file, "-"):
		return hint.Errorf("", hint.Shell("./"+file), "%q begins like an option", file)
	}
	return nil
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
		return hint.Errorf("", targetForm, "%q is in brackets and is no IPv6 address", host)
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
	case len(host) > maxHost || !hostForm.MatchString(host):
		return hint.Errorf("", targetForm, "%q is not a host name", host)
	}
	return nil
}

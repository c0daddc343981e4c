package target

import (
	"fmt"
	"strings"
	"unicode"
)

// What ssh's config says of a host may be put into commands (%h, %n, %r in a
// ProxyCommand), which a shell reads. So OpenSSH has a rule for the names that it puts
// there (valid_hostname and valid_ruser in its ssh.c, since 9.6). It holds here
// wherever a name comes from: it lets more pass than what flags and the cluster file
// may say, since a config may name what they may not.

// SafeHost refuses host names that OpenSSH refuses.
func SafeHost(host string) error {
	bad := func(r rune) bool { return strings.ContainsRune("'`\"$\\;&<>|(){},", r) || isSpace(r) || isControl(r) }
	if host == "" || host[0] == '-' || strings.ContainsFunc(host, bad) {
		return fmt.Errorf("hostname contains invalid characters: %q", host)
	}
	return nil
}

// SafeUser refuses user names that OpenSSH refuses.
func SafeUser(user string) error {
	bad := func(r rune) bool { return strings.ContainsRune("'`\";&<>|(){}", r) || isControl(r) }
	dashed := false // a dash after a blank: an option of some command
	for i := 1; i < len(user); i++ {
		dashed = dashed || user[i] == '-' && isSpace(rune(user[i-1]))
	}
	if user == "" || user[0] == '-' || dashed || strings.HasSuffix(user, `\`) || strings.ContainsFunc(user, bad) {
		return fmt.Errorf("remote username contains invalid characters: %q", user)
	}
	return nil
}

// isSpace and isControl are C's, and for runes beyond ASCII Unicode's.
func isSpace(r rune) bool   { return unicode.IsSpace(r) }
func isControl(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }

// Package sshconfig evaluates the operator's ssh configuration: which address, user,
// keys, jump hosts and known_hosts files belong to a name. It reads what is regular
// itself (Host, Match, Include, tokens), and asks OpenSSH's program (ssh -G) about
// everything else.
//
// It owns that evaluation, and the commands of Match exec. It does not connect, opens
// no key file, and knows no servers of flock.
package sshconfig

import (
	"errors"
	"os/user"
)

// Err means that ssh's config cannot be used, or says what flock cannot do; nothing was
// contacted. Every error of this package wraps it.
var Err = errors.New("ssh configuration")

// LocalUser is who logs in where nothing names a user: whoever runs flock.
func LocalUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

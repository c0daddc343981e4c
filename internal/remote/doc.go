// Package remote reaches servers: SSH with its keys, host keys and jump
// hosts, sudo, the upload of the agent, sessions with it, and many servers at
// once. The workstation itself is reached the same way, through a pipe.
//
// It owns the transport. It does not know networks, the cluster file and the meaning of
// requests, and prints nothing: the caller passes functions that ask the user questions
// and for passphrases.
package remote

import (
	"errors"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"github.com/flocknet/flock/internal/remote/keys"
	"github.com/flocknet/flock/internal/sshconfig"
)

// Kinds of errors that callers distinguish. Every error of this package wraps one of
// these where it fits, and carries where and next (package hint).
var (
	// ErrUnreachable means that there is no connection, or that the server stopped
	// answering.
	ErrUnreachable = errors.New("unreachable")
	// ErrHostKeyUnknown means that no known_hosts file has a key of the server, and
	// nobody accepted the one that it showed.
	ErrHostKeyUnknown = hostkeys.ErrUnknown
	// ErrHostKeyChanged means that the server showed another key than the known
	// one, or a revoked one. It is never overridden.
	ErrHostKeyChanged = hostkeys.ErrChanged
	// ErrAuth means that the server accepts none of our keys.
	ErrAuth = keys.ErrRefused
	// ErrSudo means that a login other than root may not use sudo without password.
	ErrSudo = errors.New("sudo refused")
	// ErrAgent means that the agent could not be installed or started, or ended early.
	ErrAgent = errors.New("agent failed")
	// ErrConfig means that ssh's config, a jump or a key file cannot be used;
	// nothing was contacted.
	ErrConfig = sshconfig.Err
)

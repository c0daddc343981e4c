package contract

import (
	"errors"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
)

// Code is the sort of an error, for programs. One that stands here keeps its word and its
// meaning; others may come.
type Code string

// The codes. docs/json.md says for people what they mean, and which exit statuses they come with.
const (
	BadInput       Code = "bad-input"        // the call, or a value in it, is wrong
	NotFound       Code = "not-found"        // nothing has this name
	NeedsYes       Code = "needs-yes"        // there is a question, and no terminal to ask it on
	Declined       Code = "declined"         // the question was answered with no
	BadFile        Code = "bad-file"         // the cluster file, or one for -f, is none
	NewerFormat    Code = "newer-format"     // a newer flock wrote the file
	BadSSHConfig   Code = "bad-ssh-config"   // ssh's configuration, a jump or a key file cannot be used
	Unreachable    Code = "unreachable"      // no connection, or a server stopped answering
	HostKeyUnknown Code = "host-key-unknown" // no known_hosts file has the server's key
	HostKeyChanged Code = "host-key-changed" // the server has another key than the known one
	LoginRefused   Code = "login-refused"    // no key, and no password, was accepted
	SudoRefused    Code = "sudo-refused"     // the login may not become root
	AgentFailed    Code = "agent-failed"     // the agent could not be put there or started, or ended early
	Refused        Code = "refused"          // servers found something in the way, nothing was changed
	Partial        Code = "partial"          // something was changed, something is pending
	Interrupted    Code = "interrupted"      // by a signal
	Failed         Code = "failed"           // anything else
)

// Codes are all of them.
func Codes() []Code {
	return []Code{
		BadInput, NotFound, NeedsYes, Declined, BadFile, NewerFormat, BadSSHConfig, Unreachable, HostKeyUnknown, HostKeyChanged,
		LoginRefused, SudoRefused, AgentFailed, Refused, Partial, Interrupted, Failed,
	}
}

// marked is an error whose code was said.
type marked struct {
	error
	code Code
}

func (m marked) Unwrap() error { return m.error }

// Marked is what the error says.
func (m marked) Marked() error { return m.error }

// With says which code err has.
func With(err error, code Code) error { return marked{err, code} }

// Of is the code of err: the one that was said, or that of its cause, or other.
func Of(err error, other Code) Code {
	var m marked
	if errors.As(err, &m) {
		return m.code
	}
	if hint.IsUnknown(err) {
		return NotFound
	}
	for _, c := range causes() {
		if errors.Is(err, c.cause) {
			return c.code
		}
	}
	return other
}

type cause struct {
	cause error
	code  Code
}

// causes are the errors that other rooms tell apart, what is nearer to the cause first.
func causes() []cause {
	return []cause{
		{state.ErrNewer, NewerFormat},
		{state.ErrMalformed, BadFile},
		{change.ErrRefused, Refused},
		{remote.ErrHostKeyChanged, HostKeyChanged},
		{remote.ErrHostKeyUnknown, HostKeyUnknown},
		{remote.ErrAuth, LoginRefused},
		{remote.ErrSudo, SudoRefused},
		{remote.ErrConfig, BadSSHConfig},
		{remote.ErrUnreachable, Unreachable},
		{remote.ErrAgent, AgentFailed},
	}
}

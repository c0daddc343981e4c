package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// Exit statuses.
const (
	ExitDone    = 0 // done, nothing pending
	ExitFailed  = 1 // failed, nothing changed anywhere
	ExitUsage   = 2 // bad usage or bad value, nothing contacted
	ExitPartial = 3 // some servers did not converge; flock apply finishes it
	ExitDrift   = 4 // drift or pending changes found
)

// ErrUsage marks a call that was refused before anything was contacted.
var ErrUsage = errors.New("bad usage")

// usage is an error of the call: its message and advice are err's, and it is
// ErrUsage.
type usage struct{ error }

func (u usage) Unwrap() []error { return []error{u.error, ErrUsage} }

// Marked is what the error says.
func (u usage) Marked() error { return u.error }

// Usage makes err an error of the call: exit status 2.
func Usage(err error) error { return usage{err} }

// Refuse makes a usage error with advice. Advice is looked up through errors.As,
// which takes the first branch of usage's tree.
func Refuse(next, format string, args ...any) error {
	return Usage(hint.Errorf("", next, format, args...))
}

// Exit ends a command with a status other than 0 when everything there is to say
// has been printed.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Partial makes err the error that some servers did not converge: exit status 3.
func Partial(err error) error { return partial{err} }

type partial struct{ error }

func (p partial) Unwrap() error { return p.error }

// Marked is what the error says.
func (p partial) Marked() error { return p.error }

// Status prints err, once, ends the document that was printed as JSON, and says how to exit.
func (a *App) Status(ctx context.Context, err error) int {
	var code Exit
	if err == nil || errors.As(err, &code) {
		if unwritten := a.Flush(); unwritten != nil {
			return a.Status(ctx, unwritten)
		}
		return int(code)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = contract.With(errors.New("interrupted"), contract.Interrupted)
	}
	changed := a.touched.Load()
	if _, next := hint.Of(err); changed && next == "" {
		err = hint.With(err, "", "flock apply")
	}
	err = a.worded(ctx, err)
	status, sort := ended(err, changed)
	a.Complain(err, sort)
	if a.JSON() || a.ran == nil && asksJSON(a.Args) {
		_ = a.End(contract.ProblemOf(err, sort)) // nobody is left to be told
	}
	return status
}

// ended is the exit status of err, and the code that goes with it unless err says another.
// changed: a server was told to change something.
func ended(err error, changed bool) (int, contract.Code) {
	var rest partial
	if changed || errors.As(err, &rest) {
		return ExitPartial, contract.Partial
	}
	for _, bad := range []error{ErrUsage, change.ErrInput, state.ErrMalformed} {
		if errors.Is(err, bad) {
			return ExitUsage, contract.BadInput
		}
	}
	return ExitFailed, contract.Failed
}

// asksJSON says whether args ask for JSON: flags may not have been read yet.
func asksJSON(args []string) bool {
	for i, word := range args {
		switch word {
		case "--":
			return false
		case "--json", "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == view.FormJSON {
				return true
			}
		}
	}
	return false
}

package command

import (
	"errors"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/hint"
)

// ErrNo is the error after a question that was answered with no.
var ErrNo = errors.New("not confirmed, nothing was changed")

// MayAsk refuses a command that would have to ask where nobody can answer: a script that
// removes something says --yes. An empty question removes nothing.
func (a *App) MayAsk(question string) error {
	if question == "" || a.flags.yes || a.flags.dryRun || a.InTTY {
		return nil
	}
	return contract.With(Refuse(ShellLine(a.Args)+" --yes", "%s: there is no terminal to ask on", strings.TrimSuffix(question, "?")), contract.NeedsYes)
}

// ShellLine is the flock command of args as it is typed in a POSIX shell.
func ShellLine(args []string) string { return hint.Shell(append([]string{"flock"}, args...)...) }

// Confirm asks before something is removed, unless --yes is given; without a terminal
// that is an error.
func (a *App) Confirm(p *Progress, question string) error {
	if a.flags.yes || a.flags.dryRun {
		return nil
	}
	if err := a.MayAsk(question); err != nil {
		return err
	}
	yes, err := a.Ask(p, question)
	if err == nil && !yes {
		err = contract.With(hint.With(ErrNo, "", "--yes answers for you"), contract.Declined)
	}
	return err
}

// Ask asks a question on the terminal; anything but y and yes means no.
func (a *App) Ask(p *Progress, question string) (bool, error) {
	defer a.answered(time.Now())
	return p.Ask(a.done, question)
}

// answered notes how long a person was asked.
func (a *App) answered(began time.Time) { a.asked.Add(int64(time.Since(began))) }

// secret returns the function that asks for a passphrase; nil without a terminal.
func (a *App) secret(p *Progress) func(string) ([]byte, error) {
	if a.Secret == nil {
		return nil
	}
	return func(prompt string) ([]byte, error) {
		defer a.answered(time.Now())
		return p.AskSecret(a.done, prompt)
	}
}

package cli

import (
	"errors"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// errNo is the error after a question that was answered with no.
var errNo = errors.New("not confirmed, nothing was changed")

// mayAsk refuses a command that would have to ask where nobody can answer: a script that
// removes something says --yes. An empty question removes nothing.
func (a *app) mayAsk(question string) error {
	if question == "" || a.flags.yes || a.flags.dryRun || a.InTTY {
		return nil
	}
	return refuse(shellLine(a.args)+" --yes", "%s: there is no terminal to ask on", strings.TrimSuffix(question, "?"))
}

// shellLine is the flock command of args as it is typed in a POSIX shell.
func shellLine(args []string) string { return hint.Shell(append([]string{"flock"}, args...)...) }

// confirm asks before something is removed, unless --yes is given; without a terminal
// that is an error.
func (a *app) confirm(p *progress, question string) error {
	if a.flags.yes || a.flags.dryRun {
		return nil
	}
	if err := a.mayAsk(question); err != nil {
		return err
	}
	yes, err := a.ask(p, question)
	if err == nil && !yes {
		err = hint.With(errNo, "", "--yes answers for you")
	}
	return err
}

// ask asks a question on the terminal; anything but y and yes means no.
func (a *app) ask(p *progress, question string) (bool, error) { return p.Ask(a.done, question) }

// secret returns the function that asks for a passphrase; nil without a terminal.
func (a *app) secret(p *progress) func(string) ([]byte, error) {
	if a.Secret == nil {
		return nil
	}
	return func(prompt string) ([]byte, error) { return p.AskSecret(a.done, prompt) }
}

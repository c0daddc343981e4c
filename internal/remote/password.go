package remote

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// passwordTries is how often one way of asking is tried, as by ssh (NumberOfPasswordPrompts).
const passwordTries = 3

// Bounds of what a server asks in one login (keyboard-interactive).
const (
	mostQuestions   = 16
	longestQuestion = 512 // bytes, its instruction included
)

// passwords are the ways to log in for which the operator types something: answers to a server's
// questions, and a password. Where ssh's config keeps connections, ssh asks instead, and the
// commands that follow go through its connection.
func (l *login) passwords(ctx context.Context) []ssh.AuthMethod {
	if l.d.Secret == nil || l.r.Batch || l.r.target.Quiet {
		return nil
	}
	var out []ssh.AuthMethod
	if l.r.Interactive {
		out = append(out, ssh.RetryableAuthMethod(ssh.KeyboardInteractive(func(_, instruction string, questions []string, _ []bool) ([]string, error) {
			if l.questions += len(questions); l.questions > mostQuestions {
				err := fmt.Errorf("%w: the server asks more than %d questions", ErrAuth, mostQuestions)
				l.fail(err)
				return nil, err
			}
			answers := make([]string, len(questions))
			for i, question := range questions {
				question = strings.TrimSpace(instruction + " " + question)
				if len(question) > longestQuestion {
					question = strings.ToValidUTF8(question[:longestQuestion], "") + "…"
				}
				text, err := l.typed(ctx, question+" ")
				if err != nil {
					return nil, err
				}
				answers[i] = text
			}
			return answers, nil
		}), passwordTries))
	}
	if l.r.Password {
		out = append(out, ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
			return l.typed(ctx, "password: ")
		}), passwordTries))
	}
	return out
}

// typed asks the operator. The text may be the server's: the prompt says who asks.
func (l *login) typed(ctx context.Context, question string) (string, error) {
	defer l.p.pause()()
	if c, to := l.d.masters(l.r.target); c != nil && canListen(c.Control(ctx, to)) && c.Starts(ctx, to) {
		err := fmt.Errorf("%w: ssh is to ask", ErrAuth)
		l.fail(err)
		return "", err
	}
	l.byHand.Store(true)
	text, err := l.d.secret()(l.r.User + " on " + l.r.target.Name + ": " + question)
	if err != nil {
		err = fmt.Errorf("%w: ask for a password: %w", ErrAuth, err)
		l.fail(err)
	}
	defer clear(text) // the copy that x/crypto wants stays
	return string(text), err
}

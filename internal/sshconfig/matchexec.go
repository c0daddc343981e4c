package sshconfig

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/target"
)

// A simple Match exec is evaluated here: ssh -G takes five times as long as a shell, and
// once per host. Everything else of a Match line is as without exec.

// defaultShell runs commands if SHELL is not set.
const defaultShell = "/bin/sh"

// matchWords splits a Match line at blanks; text in quotes after exec is one word, with
// its quotes.
func matchWords(line string) []string {
	var out []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return out
		}
		behind := len(out) > 0 && slices.Contains([]string{"exec", "!exec"}, strings.ToLower(out[len(out)-1]))
		end := 0
		if behind && line[0] == '"' {
			end = strings.IndexByte(line[1:], '"') + 2 // one more than the quote's place; 1 if there is none
		}
		if more := strings.IndexAny(line[end:], " \t"); more >= 0 {
			end += more
		} else {
			end = len(line)
		}
		out, line = append(out, line[:end]), line[end:]
	}
}

// command is what the shell runs for an argument of exec; ok is false if only ssh can
// tell.
func (r *reading) command(word string) (command string, ok bool) {
	bare := strings.TrimPrefix(word, `"`)
	if bare != word {
		bare, ok = strings.CutSuffix(bare, `"`)
		if !ok || strings.ContainsAny(bare, "\"\\\r\f\v\x00") {
			return "", false
		}
	} else if strings.ContainsAny(word, formed+"=") {
		return "", false
	}
	return r.expand(bare)
}

// expand expands the percent tokens of a Match exec; ok is false if only ssh knows one,
// or would refuse its value in a command.
func (r *reading) expand(text string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String(), b.Len() > 0
		}
		if rest == "" {
			return "", false
		}
		value, ok := r.token(rest[0])
		if !ok {
			return "", false
		}
		b.WriteString(value)
		text = rest[1:]
	}
}

// token is the value of one percent token, as far as the config was read.
func (r *reading) token(letter byte) (value string, ok bool) {
	switch letter {
	case '%':
		return "%", true
	case 'n':
		return r.alias, target.CheckHost(r.alias) == nil
	case 'h':
		name, ok := r.hostName()
		return name, ok && name == strings.ToLower(name) && target.CheckHost(name) == nil
	case 'r':
		name := r.userName()
		return name, target.CheckUser(name) == nil
	case 'u':
		name := LocalUser()
		return name, target.CheckUser(name) == nil
	case 'p':
		if r.port != 0 {
			return strconv.Itoa(int(r.port)), true
		}
		text := r.out.get("port")
		if text == "" {
			return "22", true
		}
		port, err := strconv.ParseUint(text, 10, 16)
		return text, err == nil && port > 0 && text[0] != '0'
	}
	return "", false
}

// holds says whether a command of Match exec succeeds. sure is false if ssh would fail
// there, which its own message explains better, and when ctx ends.
func (s *askedSSH) holds(ctx context.Context, command string) (holds, sure bool) {
	a, first := s.about("exec\x00" + command)
	if first {
		a.holds, a.err = s.run(ctx, command)
		close(a.done)
	}
	select {
	case <-a.done:
		return a.holds, a.err == nil
	case <-ctx.Done():
		return false, false
	}
}

// run runs a command by the operator's shell, as ssh does.
func (s *askedSSH) run(ctx context.Context, command string) (well bool, err error) {
	shell, told := os.LookupEnv("SHELL")
	if !told {
		shell = defaultShell
	}
	if !strings.Contains(shell, "/") {
		return false, errors.New("a shell without a path")
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	err = grouped(ctx, shell, "-c", command).Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return false, nil
	}
	return err == nil, err
}

package remote

import (
	"regexp"
	"strings"
)

// reply writes the answer to q, which is wiped. Where something was printed after the question
// nobody waits for it any more: what comes next says why.
func (p *process) reply(q question, word []byte) error {
	line := append(make([]byte, 0, len(word)+1), word...)
	line = append(line, '\n')
	defer clear(line)
	clear(word)
	if !p.stderr.waits(q) {
		return nil
	}
	_, err := p.in.Write(line)
	return err
}

// question is sudo's for a password.
type question struct {
	user string // whose
	at   int    // after how many bytes of standard error it begins
}

// atEnd is the question at the end of what sudo wrote, as sudo and as sudo-rs put it. One on the
// command line has a percent sign for the user.
var atEnd = regexp.MustCompile(`(?:\[sudo: )?flock-asks-for-the-password-of-([^%:\n]+):(?:\] [^\n]*: )?$`)

// anywhere is such a question, wherever it stands.
var anywhere = regexp.MustCompile(`(?:\[sudo: )?flock-asks-for-the-password-of-[^:\n]+:(?:\] [^\n]*?: )?`)

// asks is the question that t ends with, if nothing was written after it.
func (t *tail) asks() (q question, ok bool) {
	at := atEnd.FindSubmatchIndex(t.buf)
	if at == nil || at[3]-at[2] > longestUser {
		return q, false
	}
	return question{string(t.buf[at[2]:at[3]]), t.size - len(t.buf) + at[0]}, true
}

// longestUser is how many bytes the name of a user has at most (useradd(8) takes 256).
const longestUser = 256

// question returns a channel that gets the question which begins after from bytes, or later. One
// goroutine at a time waits.
func (t *tail) question(from int) <-chan question {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(chan question, 1)
	t.await = func() {
		if q, ok := t.asks(); ok && q.at >= from {
			t.await = nil
			out <- q
		}
	}
	t.await()
	return out
}

// waits says whether q still stands at the end of what was written.
func (t *tail) waits(q question) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, ok := t.asks()
	return ok && now == q
}

// complaint is the last line of standard error that is no warning of sudo's about the server's own
// name, without the question that is ours.
func complaint(stderr string) string {
	_, stderr = begun(stderr)
	said := ""
	for line := range strings.Lines(anywhere.ReplaceAllString(stderr, "")) {
		if line = strings.TrimSpace(line); line != "" && (said == "" || !strings.Contains(line, "unable to resolve host")) {
			said = line
		}
	}
	return said
}

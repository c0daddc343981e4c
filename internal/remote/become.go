package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/sshconfig"
)

// becoming is how commands of a login become root's.
type becoming int

const (
	isRoot     becoming = iota // the login is root's
	bySudo                     // sudo(8), without a password
	byPassword                 // sudo, which may ask for one
	byDoas                     // doas(1), where there is no sudo
)

// What sudo and the command below it write, so that the password goes to sudo alone, and only
// when it asks: sudo that wants none would leave it to the command. Of asksPassword sudo makes the
// name of the user whose password it wants (sudo(8), -p): a shell that prints the command line
// (set -x) prints another text than sudo.
const (
	asksPassword = "flock-asks-for-the-password-of-%p:"
	rootsGo      = "flock-is-root"
)

// begins is what commands print to standard error first where they are run by a program that may
// refuse: what is complained of after it is not that program's refusal.
func (c *Conn) begins() string {
	if c.root == isRoot {
		return ""
	}
	return "echo " + rootsGo + " >&2; "
}

// begun says whether the command printed that, and what else was said.
func begun(stderr string) (began bool, said string) {
	said, rest, began := strings.Cut("\n"+stderr, "\n"+rootsGo+"\n")
	return began, strings.TrimPrefix(said+"\n"+rest, "\n")
}

// asRoot is command, which begins with a program's name, run as root.
func (c *Conn) asRoot(command string) string {
	switch c.root {
	case bySudo:
		return "sudo -n " + command
	case byPassword:
		return "sudo -S -p " + asksPassword + ` sh -c 'echo ` + rootsGo + `; exec "$@"' sh ` + command
	case byDoas:
		return "doas -n " + command
	}
	return command
}

// rooted calls do, which runs a command as root, and calls it again where there is another way
// to become root than the one that was refused.
func (c *Conn) rooted(do func() error) error {
	for {
		err := do()
		if !errors.Is(err, ErrSudo) || !c.otherwise(err) {
			return err
		}
	}
}

// noSudo is an ErrSudo of a server that lacks the program.
type noSudo struct{ error }

func (e noSudo) Unwrap() error { return e.error }

// otherwise turns to the next way to become root, after err, and says whether there is one.
func (c *Conn) otherwise(err error) bool {
	switch lacks := errors.As(err, new(noSudo)); {
	case c.root == bySudo && lacks:
		c.root = byDoas
	case c.root == bySudo && c.d.Secret != nil && !c.target.Quiet:
		c.root = byPassword
	default:
		return false
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.d.ways == nil {
		c.d.ways = map[string]becoming{}
	}
	c.d.ways[c.account()] = c.root
	return true
}

// becomes is how the login of c becomes root: as it did before, or first by sudo alone.
func (d *Dialer) becomes(c *Conn) becoming {
	if c.target.Quiet { // one of the same name may have been asked
		return bySudo
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return cmp.Or(d.ways[c.account()], bySudo)
}

// account names the login among all.
func (c *Conn) account() string { return c.user() + " on " + c.target.Name }

// start starts a command as root, as shell does. Where sudo asks for a password it is given one; nothing else
// may be written to the process before that.
func (c *Conn) start(ctx context.Context, p *patience, command, with string) (*process, error) {
	proc, err := c.shell.start(ctx, c.asRoot(command), with)
	if err != nil {
		return nil, hint.With(err, c.target.where(), "")
	}
	if c.root == byPassword {
		stop := context.AfterFunc(ctx, func() { proc.abort(context.Cause(ctx)) })
		defer stop()
		if err := c.identify(p, proc); err != nil {
			proc.abort(err)
			return nil, err
		}
	}
	return proc, nil
}

// rootWord is the password with which a login becomes root: asked for once, and given to every
// server that wants one from this user, until one refuses it. That of the workstation is its own,
// and servers that left the cluster get none. It is nowhere but here.
type rootWord struct {
	mu     sync.Mutex // guards below; held from the question until a server has taken the answer
	word   []byte
	taken  bool  // a server took it
	denied error // there is none
}

// rootWord returns the password of who, which is a user or an account.
func (d *Dialer) rootWord(who string) *rootWord {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.rootWords[who]
	if w == nil {
		w = &rootWord{}
		if d.rootWords == nil {
			d.rootWords = map[string]*rootWord{}
		}
		d.rootWords[who] = w
	}
	return w
}

func (d *Dialer) hasWord(who string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rootWords[who] != nil
}

// wants is a password that sudo asks a login for: mostly the login's own, or root's (sudoers(5),
// targetpw, rootpw, runaspw).
type wants struct{ who, on, by string }

// wanted is the password of user, as sudo names it: in quotes, so that a server's word for a user
// names no other server's.
func (c *Conn) wanted(user string) wants {
	w := wants{who: user, on: user + " on " + c.target.Name}
	if user != c.user() {
		w.who, w.on = fmt.Sprintf("%q by %q", user, c.user()), fmt.Sprintf("%q by %q on %q", user, c.user(), c.target.Name)
		w.by = ", which sudo wants of " + c.user()
	}
	return w
}

// whose is the user or account whose password c gets first, and what a question for it says of
// others. That of the workstation is no server's, whoever has the same name there.
func (c *Conn) whose(w wants) (who, others string) {
	if c.link == nil || c.d.hasWord(w.on) {
		return w.on, ""
	}
	others = ", and where else it is wanted"
	if n := c.d.loginsOf(c.user()); n > 1 {
		others += fmt.Sprintf(" (%d servers have this login)", n)
	}
	return w.who, others
}

// expect notes a login, for what questions say.
func (d *Dialer) expect(r *route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logins == nil {
		d.logins = map[string][]string{}
	}
	if all := d.logins[r.User]; !slices.Contains(all, r.target.Name) {
		d.logins[r.User] = append(all, r.target.Name)
	}
}

// loginsOf is how many servers user logs in to so far.
func (d *Dialer) loginsOf(user string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.logins[user])
}

// identify answers sudo's questions until the command runs as root, or ends.
func (c *Conn) identify(p *patience, proc *process) error {
	through := make(chan bool, 1)
	out := bufio.NewReader(proc.out)
	proc.out = out
	go func() { through <- awaitGo(out) }()
	var w *rootWord
	mine := false // this server is the first to see the password
	defer func() {
		if mine {
			w.mu.Unlock()
		}
	}()
	first := "" // whose password it wants
	for asked, from := 0, 0; ; {
		select {
		case is := <-through:
			if is {
				if mine {
					w.taken = true
				}
				return nil
			}
			status, err := proc.wait() // it ended, and says why
			err = c.ended("become root", proc, status, err)
			if status > 0 && !errors.Is(err, ErrSudo) { // in whichever words, the command did not begin
				err = c.sudoRefused(proc.stderr.String())
			}
			if mine && asked > 1 { // it asked again: the word is wrong
				w.denied = err // another server is not to count it as wrong, too
			}
			return err
		case q := <-proc.stderr.question(from):
			from = q.at + 1
			asked++
			if first = cmp.Or(first, q.user); q.user != first { // what is typed for one user is not another's
				return c.sudoRefused("it asks for the password of " + first + ", then of " + q.user)
			}
			wanted := c.wanted(q.user)
			who, others := c.whose(wanted)
			if asked > 1 && !mine { // the one that others took
				who, others = wanted.on, ""
			}
			if !mine {
				w = c.d.rootWord(who)
			}
			word, err := c.answer(p, w, &mine, "password of sudo for "+q.user+" on "+c.target.Name+wanted.by+others+": ")
			if err != nil {
				return hint.With(fmt.Errorf("%w for %s: %w", ErrSudo, c.user(), err), c.target.where(), c.sudoAdvice())
			}
			if err := proc.reply(q, word); err != nil {
				return hint.With(fmt.Errorf("become root: %w", err), c.target.where(), "")
			}
		}
	}
}

// answer is the password that w has, or the one that the operator types. The time limit is paused
// meanwhile.
func (c *Conn) answer(p *patience, w *rootWord, mine *bool, prompt string) ([]byte, error) {
	defer p.pause()()
	if !*mine {
		w.mu.Lock()
		if w.taken || w.denied != nil {
			defer w.mu.Unlock()
			return bytes.Clone(w.word), w.denied
		}
		*mine = true
	}
	clear(w.word)
	if w.word, w.denied = c.d.secret()(prompt); w.denied != nil {
		return nil, w.denied
	}
	return bytes.Clone(w.word), nil
}

// awaitGo reads until the command says that it runs, and whether it does; shells' profiles may
// print before.
func awaitGo(out *bufio.Reader) bool {
	for {
		line, err := out.ReadSlice('\n')
		if bytes.HasSuffix(line, []byte(rootsGo+"\n")) {
			return true
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
	}
}

// user is the login's name.
func (c *Conn) user() string {
	if c.link != nil {
		return c.link.route.User
	}
	if u := sshconfig.LocalUser(); u != "" {
		return u
	}
	return "USER"
}

// refusedRoot is the error of a command that could not become root, or nil: it ended for another
// reason.
func (c *Conn) refusedRoot(status int, stderr string) error {
	program := "sudo"
	if c.root == byDoas {
		program = "doas"
	}
	began, said := begun(stderr)
	switch {
	case c.root == isRoot || began:
		return nil
	case status == exitNotFound, status > 0 && strings.Contains(strings.ToLower(said), program+": command not found"): // csh
		return noSudo{hint.Errorf(c.target.where(), "log in as root, or install sudo there", "%w for %s: there is neither sudo nor doas: %s", ErrSudo, c.user(), complaint(stderr))}
	case status != lost && strings.Contains(said, program+":"):
		return c.sudoRefused(stderr)
	}
	return nil
}

// sudoRefused is the error of a login that may not become root, by what was said.
func (c *Conn) sudoRefused(stderr string) error {
	return hint.Errorf(c.target.where(), c.sudoAdvice(), "%w for %s: %s", ErrSudo, c.user(), complaint(stderr))
}

// sudoAdvice is what to do where the login may not become root.
func (c *Conn) sudoAdvice() string {
	allow := fmt.Sprintf("as root there: echo '%s ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/flock; or log in as root", c.user())
	if c.root == byDoas {
		allow = fmt.Sprintf("as root there: echo 'permit nopass %s' >>/etc/doas.conf; or log in as root", c.user())
	}
	if c.d.Secret == nil && c.root != byDoas {
		return "run it on a terminal, which asks for the password; or " + allow
	}
	return allow
}

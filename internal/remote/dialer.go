package remote

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"github.com/flocknet/flock/internal/remote/keys"
	"github.com/flocknet/flock/internal/sshconfig"
)

// Defaults of a Dialer.
const (
	defaultTimeout = 15 * time.Second
	// defaultKeepalive times missedAnswers is how long a server may be silent.
	defaultKeepalive = 15 * time.Second
	missedAnswers    = 3
)

// Dialer reaches servers. The zero value is ready; its fields do not change once it is
// used. Its methods may be called concurrently. It calls Ask, Secret and Verbose
// concurrently, but Ask and Secret only one at a time. What it learned once (config,
// keys, passphrases, host keys, the agent's program) serves all its connections.
type Dialer struct {
	SSHConfig string        // the only ssh config to read; empty: ~/.ssh/config, then /etc/ssh/ssh_config
	Timeout   time.Duration // for a server to answer, from TCP to login; 0: 15 s
	Connect   time.Duration // for its first packet; a server that is off sends none; 0: Timeout
	Anew      bool          // log in, though ssh has a connection that is up
	Control   string        // the directory of flock's own connections that stay; empty: there are none
	AcceptNew bool          // host keys not seen before are written to known_hosts without asking
	Command   string        // the command line as a shell takes it: advice repeats it with another flag; empty: flock status
	NamesKey  bool          // Command takes -i KEYFILE and has none yet

	// Ask asks the operator a question with yes or no; nil: there is no operator.
	Ask func(question string) (bool, error)
	// Secret asks for a passphrase; nil: there is no operator. The bytes are wiped after
	// use.
	Secret func(prompt string) ([]byte, error)
	// Verbose gets a line about each event; nil: nobody wants it.
	Verbose func(server, line string)
	// Agents opens one of the agent's programs; nil: BuiltinAgent.
	Agents func(Build) (io.ReadCloser, error)

	paths     paths         // directories on servers; zero: the real ones
	keepalive time.Duration // between two keepalives of SSH; 0: defaultKeepalive
	beat      time.Duration // between two heartbeats of a session; 0: wire.Beat
	wait      time.Duration // for what ssh's config says of masters, at the end; 0: wantsWithin
	step      time.Duration // how long an agent may take to answer; 0: lookWithin, workWithin

	meeting sync.Mutex // held while the operator is asked

	mu         sync.Mutex // guards below
	config     *sshconfig.Config
	knownFiles map[string]hostkeys.Known
	keys       map[string]func() *keys.File
	sshAgents  map[string]func() held
	shared     map[string]*sharedLink
	lanes      map[string]chan struct{}
	programs   map[Build]*program
	started    map[string]int // see mayStart
	rootWords  map[string]*rootWord
	ways       map[string]becoming // by which servers' logins became root
	logins     map[string][]string // the servers of each user
}

func (d *Dialer) command() string { return cmp.Or(d.Command, "flock status") }

func (d *Dialer) timeout() time.Duration { return cmp.Or(d.Timeout, defaultTimeout) }

func (d *Dialer) say(t Target, format string, args ...any) {
	if d.Verbose != nil {
		d.Verbose(t.Name, fmt.Sprintf(format, args...))
	}
}

// secret is Secret, one question at a time; nil without an operator.
func (d *Dialer) secret() func(string) ([]byte, error) {
	if d.Secret == nil {
		return nil
	}
	return func(prompt string) ([]byte, error) {
		d.meeting.Lock()
		defer d.meeting.Unlock()
		return d.Secret(prompt)
	}
}

// sshConfig reads ssh's config, once.
func (d *Dialer) sshConfig() (*sshconfig.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.config == nil {
		c, err := sshconfig.Read(d.SSHConfig)
		if err != nil {
			return nil, err
		}
		d.config = c
	}
	return d.config, nil
}

// Dial connects to t and logs in, through its jump hosts where it has some. ctx
// and Timeout bound this call alone; the connection lives until Close. The target
// Local is this machine, without SSH.
//
// Errors wrap ErrConfig (nothing was contacted), ErrUnreachable,
// ErrHostKeyUnknown, ErrHostKeyChanged or ErrAuth.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Conn, error) {
	d.expectProgram(t)
	if t.local() {
		return d.dialLocal(t)
	}
	l, err := d.open(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	c := &Conn{d: d, target: t, link: l, shell: &sshShell{link: l}}
	if l.route.User != "root" {
		c.root = d.becomes(c)
	}
	return c, nil
}

// checkIdentity refuses a key file that was asked for by name and holds no key.
func (d *Dialer) checkIdentity(r *route) error {
	t := r.target
	if t.Identity == "" {
		return nil
	}
	if k := d.keyFile(r.Identities[0]); k.Err() != nil {
		return hint.With(fmt.Errorf("%w: %w", ErrConfig, k.Err()), t.where(), hint.Shell("ls", "-l", r.Identities[0]))
	}
	return nil
}

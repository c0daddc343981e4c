package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/flocknet/flock/internal/hint"
)

// Connections of flock's own that stay: ssh(1) makes them and holds them, as it does its own
// masters, and ends them when nobody has used them for a while.

// controlIdle is for how long ssh holds one that nobody uses.
const controlIdle = "10m"

// longestSocket is how many bytes the path of a socket may have: 108 with a final zero
// (unix(7)), of which ssh needs 17 while it makes one.
const longestSocket = 108 - 1 - 17

// control is the socket of flock's own connection by a route; "" if there can be none. It is
// named by all that ssh's configuration and the cluster file say of the way and the login, jump
// hosts included: where one of them says something else, it is another connection.
func (d *Dialer) control(ctx context.Context, r *route) string {
	if d.Control == "" || r.target.local() {
		return ""
	}
	sum := sha256.New()
	for range maxJumps {
		fmt.Fprintf(sum, "%s\x00%s\x00%s\x00%s\x00%s\x00", d.SSHConfig, r.ID(), r.KeyName, r.Network, strings.Join(r.Certificates, ":"))
		if r.Jump == "" {
			return filepath.Join(d.Control, hex.EncodeToString(sum.Sum(nil)[:8]))
		}
		name, before := hops(r.Jump)
		t, err := r.target.hop(name, before)
		if err != nil {
			return ""
		}
		if r, err = d.route(ctx, t); err != nil {
			return ""
		}
	}
	return ""
}

// held is the socket of flock's own connection to t, which need not be there; "" if there can be
// none.
func (d *Dialer) held(ctx context.Context, t Target) (string, error) {
	if t.local() {
		return "", nil
	}
	r, err := d.route(ctx, t)
	if err != nil {
		return "", err
	}
	return d.control(ctx, r), nil
}

// Connected is the socket of a connection to t that commands go through, flock's own or ssh's;
// "" if none is up. ssh answers for it on the workstation: whether the server does is not asked.
func (d *Dialer) Connected(ctx context.Context, t Target) string {
	own, err := d.held(ctx, t)
	if err != nil || d.Anew || t.local() {
		return ""
	}
	paths := []string{own}
	if c, to := d.masters(t); c != nil {
		paths = append(paths, c.Control(ctx, to))
	}
	ctx, cancel := context.WithTimeout(ctx, masterWithin)
	defer cancel()
	for _, path := range paths {
		if path == "" || !ownSocket(path) {
			continue
		}
		if client, err := overMaster(ctx, path); err == nil {
			_ = client.Close()
			return path
		}
	}
	return ""
}

// Held says whether flock's own connection to t is up.
func (d *Dialer) Held(ctx context.Context, t Target) bool {
	path, err := d.held(ctx, t)
	return err == nil && path != "" && ownSocket(path) && answers(ctx, path)
}

// answers says whether the connection at path opens a session.
func answers(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, masterWithin)
	defer cancel()
	client, session, err := throughMaster(ctx, path)
	if err != nil {
		return false
	}
	_ = session.Close() // see takeLeave
	_ = client.Close()
	return true
}

// Login are the arguments with which ssh(1) takes the way that a Dialer takes to t: through
// flock's own connection where that is up.
func (d *Dialer) Login(ctx context.Context, t Target) []string {
	args := d.SSHArgs(t)
	if path, err := d.held(ctx, t); err == nil && !d.Anew && path != "" && ownSocket(path) && answers(ctx, path) {
		args = append([]string{"-o", "ControlPath=" + path}, args...)
	}
	return args
}

// Hold has ssh log in to t and hold the connection for the commands that follow. It is ssh
// that asks for passphrases and unknown host keys, where asks is set; otherwise what must be
// asked is an error.
func (d *Dialer) Hold(ctx context.Context, t Target, asks bool) error {
	path, err := d.held(ctx, t)
	if err != nil || path == "" {
		return err
	}
	if len(path) > longestSocket {
		return hint.Errorf(t.where(), "set XDG_STATE_HOME to a shorter path", "%w: %s is too long for a socket", ErrConfig, path)
	}
	if err := privateDir(d.Control); err != nil {
		return hint.With(err, t.where(), hint.Shell("ls", "-ld", d.Control))
	}
	leave, err := d.startHeld(ctx, t)
	if err != nil {
		return err
	}
	defer leave()
	_ = os.Remove(path) // one that ssh left when it was killed; of one that lives only the name goes
	own := []string{
		"-f", "-N", "-M", "-o", "ControlPath=" + path, "-o", "ControlPersist=" + controlIdle, "-o", "ForwardAgent=no", "-o", "ForwardX11=no",
		"-o", "ClearAllForwardings=yes", "-o", fmt.Sprintf("ConnectTimeout=%d", max(1, int(cmp.Or(d.Connect, d.timeout()).Seconds()))),
	}
	if !asks { // who asks waits for a person, as long as that takes
		own = append(own, "-o", "BatchMode=yes")
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout()*4)
		defer cancel()
	}
	text, err := d.ssh(ctx, append(own, d.SSHArgs(t)...), asks)
	if err == nil {
		return nil
	}
	kind := ErrUnreachable
	if strings.Contains(text, "Permission denied") || strings.Contains(text, "Host key verification failed") { // sshconnect2.c, sshconnect.c
		kind = ErrAuth
	}
	return hint.With(fmt.Errorf("%w: %s", kind, cmp.Or(text, err.Error())), t.where(), hint.Shell(append([]string{"ssh"}, d.SSHArgs(t)...)...))
}

// startHeld waits until few enough logins by way of one jump host are in progress: ssh makes a
// connection to it for each.
func (d *Dialer) startHeld(ctx context.Context, t Target) (leave func(), err error) {
	r, err := d.route(ctx, t)
	if err != nil {
		return nil, err
	}
	if r.Jump+r.Proxy == "" {
		return func() {}, nil
	}
	return d.enter(ctx, "held by way of "+r.Jump)
}

// Drop ends flock's own connection to t, and says whether there was one. An error is that ssh
// does not end it.
func (d *Dialer) Drop(ctx context.Context, t Target) (bool, error) {
	path, err := d.held(ctx, t)
	if err != nil || path == "" || !ownSocket(path) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, masterWithin)
	defer cancel()
	text, err := d.ssh(ctx, append([]string{"-O", "exit", "-o", "ControlPath=" + path}, d.SSHArgs(t)...), false)
	if strings.Contains(text, "Connection refused") { // the name of one that is gone
		return false, os.Remove(path)
	}
	if err != nil && !strings.Contains(text, "Exit request sent") { // mux.c; on a busy machine ssh itself may take longer to end
		return false, hint.With(fmt.Errorf("ssh does not end the connection at %s: %s", path, cmp.Or(text, err.Error())), t.where(), hint.Shell("pkill", "-f", path))
	}
	return true, nil
}

// ssh runs ssh(1), and returns the last line of what it complains of.
func (d *Dialer) ssh(ctx context.Context, args []string, asks bool) (string, error) {
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.WaitDelay = closing
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it puts the terminal in order
	if asks {
		cmd.Stdin = os.Stdin
	}
	// A file, not a pipe: what stays in the background has it open.
	errs, err := os.CreateTemp("", "flock-ssh-")
	if err != nil {
		return "", err
	}
	defer os.Remove(errs.Name()) //nolint:errcheck // a temporary file
	defer errs.Close()           //nolint:errcheck // it was read
	cmd.Stderr = errs
	err = cmd.Run()
	text, readErr := os.ReadFile(errs.Name())
	if readErr != nil {
		return "", errors.Join(err, readErr)
	}
	return lastLine(string(bytes.TrimSpace(text))), err
}

// privateDir makes dir, or refuses one that others may use.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: others may use %s", ErrConfig, dir)
	}
	return nil
}

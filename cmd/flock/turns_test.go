//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
)

// A turn is what a client sends at once, before it waits for the server: what a command costs
// on a long way is turns times the round trip. They are counted by a relay between client and
// sshd, and not by the clock, which on a busy machine counts other people's work.

// relayEnv makes this test binary the relay: PORT ADDRESS of the sshd.
const relayEnv = "FLOCK_RELAY"

// holds are how long one side must be quiet until the relay passes on what it sent, at each try.
// What one side sends without waiting arrives together then, as it does on a way of that length.
// On a busy machine one side may be interrupted for longer while it sends, and seem to wait: so
// each next try waits longer.
var holds = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}

// relay answers each line of stdin, when no connection is open, with the turns of each connection
// since the last answer. The line is how long it holds on the connections that follow.
func relay(port, to string) error {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var open sync.WaitGroup
	var mu sync.Mutex
	var all []int
	var hold atomic.Int64
	hold.Store(int64(holds[0]))
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				if turns := passOn(client, to, time.Duration(hold.Load())); turns > 1 { // not one that was only touched
					mu.Lock()
					defer mu.Unlock()
					all = append(all, turns)
				}
			})
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		open.Wait()
		mu.Lock()
		fmt.Println(strings.Trim(fmt.Sprint(all), "[]"))
		all = nil
		mu.Unlock()
		next, err := time.ParseDuration(lines.Text())
		if err != nil {
			return err
		}
		hold.Store(int64(next))
	}
	return nil
}

// passOn joins client to the sshd at to, until both have ended. The first turn is TCP's.
func passOn(client net.Conn, to string, hold time.Duration) (turns int) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 0
	}
	defer server.Close()
	fromClient, fromServer := pieces(client, hold), pieces(server, hold)
	plain := &plainly{}
	turns = 1
	answered := true
	for fromClient != nil || fromServer != nil {
		select {
		case b, ok := <-fromClient:
			if !ok {
				fromClient = nil
				server.(*net.TCPConn).CloseWrite()
				continue
			}
			if answered {
				turns++
			}
			answered = false
			_, _ = server.Write(b) // an end that is gone ends the other, too
		case b, ok := <-fromServer:
			if !ok {
				fromServer = nil
				client.(*net.TCPConn).CloseWrite()
				continue
			}
			if b = plain.whole(b); len(b) == 0 {
				continue
			}
			answered = true
			_, _ = client.Write(b)
		}
	}
	return turns
}

// pieces are what conn sends before it is quiet for as long as hold.
func pieces(conn net.Conn, hold time.Duration) <-chan []byte {
	raw, out := make(chan []byte), make(chan []byte)
	go func() {
		defer close(raw)
		for {
			b := make([]byte, 64<<10)
			n, err := conn.Read(b)
			if n > 0 {
				raw <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(out)
		for b := range raw {
			quiet := time.NewTimer(hold)
		collect:
			for {
				select {
				case more, ok := <-raw:
					if !ok {
						break collect
					}
					b = append(b, more...)
					quiet.Reset(hold)
				case <-quiet.C:
					break collect
				}
			}
			out <- b
		}
	}()
	return out
}

// plainly keeps the server's messages of the key exchange together that no client's message is
// between: its identification with SSH_MSG_KEXINIT, and its answer with SSH_MSG_NEWKEYS (RFC
// 4253, 7). A server that is slow would else seem to be answered twice.
type plainly struct {
	held []byte
	over bool
}

func (p *plainly) whole(b []byte) []byte {
	if p.over {
		return b
	}
	p.held = append(p.held, b...)
	rest := p.held
	if bytes.HasPrefix(rest, []byte("SSH-")) {
		_, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			return nil
		}
		rest = after
	}
	const kexInit, newKeys = 20, 21
	for len(rest) >= 6 {
		size := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < size {
			return nil
		}
		if kind := rest[5]; kind == kexInit || kind == newKeys {
			out := p.held
			p.held, p.over = nil, kind == newKeys
			return out
		}
		rest = rest[size:]
	}
	return nil
}

// turns is a lab with a relay on the laptop's way to s1.
type turns struct {
	t           *testing.T
	l           *lab.Lab
	flockPath   string
	home, state string
	ssh         string    // the ssh config
	asked       io.Writer // the relay's streams
	told        *bufio.Scanner
}

func newTurns(t *testing.T) *turns {
	t.Helper()
	lab.Need(t, "ip", "nsenter", "sshd", "ssh", "sudo", "dnsmasq")
	dir := build(t)
	work := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), lab.Options{N: 2, Init: lab.None, Dir: filepath.Join(work, "lab"), Share: []string{dir, work, filepath.Dir(self)}, Bound: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &turns{t: t, l: l, flockPath: filepath.Join(dir, "flock"), home: work, state: filepath.Join(work, "flock.toml"), ssh: filepath.Join(work, "ssh_config")}
	text, err := os.ReadFile(l.SSHConfig())
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte("Host 10.99.0.1\n\tHostName 127.0.0.1\n\tPort 2201\n\tHostKeyAlias 10.99.0.1\n"), text...)
	text = bytes.Replace(text, []byte("10.99.0.* "), []byte("10.99.0.* 127.0.0.1 "), 1)
	if err := os.WriteFile(w.ssh, text, 0o600); err != nil {
		t.Fatal(err)
	}
	relay := l.Command(t.Context(), lab.Laptop, "env", relayEnv+"=2201", self, "10.99.0.1:22")
	in, err1 := relay.StdinPipe()
	out, err2 := relay.StdoutPipe()
	relay.Stderr = os.Stderr
	if err := errors.Join(err1, err2, relay.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = relay.Wait()
	})
	w.asked, w.told = in, bufio.NewScanner(out)
	if !w.told.Scan() || w.told.Text() != "ready" {
		t.Fatalf("want a relay, have %q", w.told.Text())
	}
	return w
}

// flock runs flock on the laptop and returns the turns of each of its connections.
func (w *turns) flock(args ...string) []int {
	w.t.Helper()
	return w.count(w.words(args...)...)
}

// words are the command that runs flock on the laptop.
func (w *turns) words(args ...string) []string {
	env := []string{"env", "HOME=" + w.home, "FLOCK_STATE=" + w.state, "FLOCK_SSH_CONFIG=" + w.ssh, "NO_COLOR=1"}
	return append(append(env, w.flockPath), args...)
}

// count runs a command on the laptop and returns the turns of each of its connections, in the
// order in which they ended.
func (w *turns) count(argv ...string) []int {
	w.t.Helper()
	w.run(argv...)
	return w.relayed(holds[0])
}

// run runs a command on the laptop.
func (w *turns) run(argv ...string) {
	w.t.Helper()
	if out, err := w.l.Command(w.t.Context(), lab.Laptop, argv...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// relayed are the turns of each connection since it was asked last; the relay holds for as long
// as next on those that follow.
func (w *turns) relayed(next time.Duration) []int {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.asked, next); err != nil || !w.told.Scan() {
		w.t.Fatalf("the relay is gone: %v", err)
	}
	var turns []int
	for _, text := range strings.Fields(w.told.Text()) {
		n, err := strconv.Atoi(text)
		if err != nil {
			w.t.Fatal(err)
		}
		turns = append(turns, n)
	}
	return turns
}

// most fails if a command takes more turns, or more than one connection. It is run up to three
// times, since on a busy machine what is sent at once may come in two parts (see holds); between
// puts back what it did.
func (w *turns) most(most int, between func(), argv ...string) {
	w.t.Helper()
	var all [][]int
	for _, hold := range holds {
		w.relayed(hold)
		have := w.flock(argv...)
		all = append(all, have)
		if between != nil {
			between()
		}
		if len(have) == 1 && have[0] <= most {
			w.t.Logf("%d turns: flock %s", have[0], strings.Join(argv, " "))
			return
		}
	}
	w.t.Errorf("flock %s: want at most %d turns on one connection, have %v", strings.Join(argv, " "), most, all)
}

// bare is what a login with nothing to do takes by OpenSSH's client.
func (w *turns) bare() int {
	w.t.Helper()
	least := 0
	for _, hold := range holds {
		w.relayed(hold)
		have := w.count("ssh", "-F", w.ssh, "-o", "BatchMode=yes", "10.99.0.1", "true")
		if len(have) != 1 {
			w.t.Fatalf("ssh made connections of %v turns", have)
		}
		least = min(cmp.Or(least, have[0]), have[0])
	}
	w.t.Logf("%d turns: ssh HOST true", least)
	return least
}

// TestTurns: a command that finds nothing to do takes no more turns than ssh, a change that
// cannot cut the server off one more, and nothing logs in twice.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := newTurns(t)
	ssh := w.bare()
	w.most(ssh+firstContact, func() {
		w.flock("delserver", "s1", "--yes")
		w.on("s1", "rm -rf /usr/local/lib/flock")
	}, "addserver", "s1", "root@10.99.0.1")
	w.flock("addserver", "s1", "root@10.99.0.1")
	w.flock("addserver", "s2", "root@10.99.0.2")
	w.most(ssh, nil, "apply")
	w.most(ssh, nil, "status")
	w.flock("createnetwork", "vx1", "vxlan")
	w.flock("addnetwork", "vx1", "s1")
	w.most(ssh+1, func() { w.flock("delnetwork", "vx1", "s2", "--yes") }, "addnetwork", "vx1", "s2")
	w.flock("addnetwork", "vx1", "s2")
	w.most(ssh, nil, "apply")
	w.most(ssh, nil, "plan")
	w.most(ssh, nil, "status") // which probes the paths

	// Keys that the server refuses come before the one that it takes.
	w.otherKeys()
	w.flock("apply")
	w.most(ssh, nil, "apply")

	// What an agent is asked first cannot travel with its start here.
	w.on("s1", "sed -i /AcceptEnv/d /etc/ssh/sshd_config")
	if err := reloadSSHD(t.Context(), w.l, "s1"); err != nil {
		t.Fatal(err)
	}
	w.most(ssh+1, nil, "apply")
}

// otherKeys has more keys, which no server knows, offered first.
func (w *turns) otherKeys() {
	w.t.Helper()
	var lines strings.Builder
	for _, name := range []string{"one", "two", "three"} {
		file := filepath.Join(w.home, name)
		w.on(lab.Laptop, "ssh-keygen -q -t ed25519 -N '' -f "+file)
		fmt.Fprintln(&lines, "IdentityFile "+file)
	}
	text, err := os.ReadFile(w.ssh)
	if err == nil {
		err = os.WriteFile(w.ssh, append([]byte(lines.String()), text...), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestTurnsBySudo: a login that is not root costs no turn.
func TestTurnsBySudo(t *testing.T) {
	t.Parallel()
	w := newTurns(t)
	w.flock("addserver", "s1", "admin@10.99.0.1")
	w.most(w.bare(), nil, "apply")
}

// TestTurnsThroughConnection: by way of a connection that ssh has up, a command that finds nothing
// to do takes three turns, and a change one more.
func TestTurnsThroughConnection(t *testing.T) {
	t.Parallel()
	w := newTurns(t)
	w.flock("addserver", "s1", "root@10.99.0.1")
	w.flock("addserver", "s2", "root@10.99.0.2")
	w.flock("createnetwork", "vx1", "vxlan")
	w.flock("addnetwork", "vx1", "s1")
	text, err := os.ReadFile(w.ssh)
	if err == nil {
		err = os.WriteFile(w.ssh, append([]byte("Host 10.99.0.1\n\tControlPath "+w.home+"/%C\n"), text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	const nothing, change = 3, 4
	w.through(nothing, nil, "apply")
	w.through(nothing, nil, "plan")
	w.through(nothing, nil, "status")
	w.through(change, []string{"delnetwork", "vx1", "s2", "--yes"}, "addnetwork", "vx1", "s2")
	w.through(change, []string{"setnetwork", "vx1", "--mtu", "1450"}, "setnetwork", "vx1", "--mtu", "1400")
}

// through fails if a command takes more turns by way of a connection that ssh has up. It is run up
// to three times, as by most; between undoes what it did.
func (w *turns) through(most int, between []string, argv ...string) {
	w.t.Helper()
	var all []int
	for _, hold := range holds {
		w.relayed(hold)
		idle := w.held(hold)
		have := w.held(0, argv...) - idle
		all = append(all, have)
		if between != nil {
			w.flock(between...)
		}
		if have <= most {
			w.t.Logf("%d turns through a connection that is up: flock %s", have, strings.Join(argv, " "))
			return
		}
	}
	w.t.Errorf("flock %s: want at most %d turns through a connection that is up, have %v", strings.Join(argv, " "), most, all)
}

// held is how many turns a connection of ssh's has while flock runs once, if args name a command;
// the relay holds for as long as next on those that follow.
func (w *turns) held(next time.Duration, args ...string) int {
	w.t.Helper()
	ssh := []string{"ssh", "-F", w.ssh, "-o", "BatchMode=yes"}
	w.run(append(ssh, "-MNf", "root@10.99.0.1")...)
	if len(args) > 0 {
		w.run(w.words(args...)...)
	}
	w.run(append(ssh, "-O", "exit", "root@10.99.0.1")...)
	have := w.relayed(next)
	if len(have) != 1 {
		w.t.Fatalf("want one connection, have %v", have)
	}
	return have[0]
}

// firstContact is how many turns more than a login the first one with a server takes: the agent
// is missing, its program is chosen, sent, put in place and started.
const firstContact = 4

// on runs a command on a server, past the relay.
func (w *turns) on(server, command string) {
	w.t.Helper()
	if out, err := w.l.Command(w.t.Context(), server, "sh", "-c", command).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

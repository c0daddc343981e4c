//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is a program that watches while a script goes on.
type background struct {
	cmd  *exec.Cmd
	out  *os.File
	errs *os.File // what it says of itself
}

// watch starts cmd with its output in file and returns when ready matches it.
func watch(ctx context.Context, cmd *exec.Cmd, file string, ready *regexp.Regexp) (*background, error) {
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	stderr, err := os.CreateTemp("", "watch")
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	defer os.Remove(stderr.Name())
	cmd.Stdout, cmd.Stderr = out, stderr
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close(), stderr.Close())
	}
	b := &background{cmd: cmd, out: out, errs: stderr}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		said.Reset()
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, errors.Join(err, b.stop())
		}
		said.Write(text)
		said.Write(b.said())
		if ready.Match(said.Bytes()) {
			return b, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for %v: %w: %s", cmd.Args, ctx.Err(), said.Bytes()), b.stop())
		}
	}
}

// stop interrupts the program, which lets it print what it knows.
func (b *background) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := b.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return errors.Join(b.out.Close(), b.errs.Close())
}

// said is what the program has said of itself.
func (b *background) said() []byte {
	const most = 1 << 20 // bytes
	text, _ := io.ReadAll(io.NewSectionReader(b.errs, 0, most))
	return text
}

// counted is how many packets tcpdump has read, how many the kernel took for it, and how many of
// those it had no room for.
var counted = regexp.MustCompile(`(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped`)

// counts are the numbers of counted, each time that tcpdump said them.
func (b *background) counts() (all [][3]int) {
	for _, m := range counted.FindAllSubmatch(b.said(), -1) {
		var c [3]int
		for i := range c {
			c[i], _ = strconv.Atoi(string(m[i+1])) // digits
		}
		all = append(all, c)
	}
	return all
}

// drain waits until tcpdump has read what the kernel had taken for it by now: on a busy machine it
// comes to that late, and on an interrupt it leaves the rest. It counts on SIGUSR1, and reads on.
// On a loopback device the kernel counts what libpcap leaves away: there it has read all when it
// finds no more.
func (b *background) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience(20*time.Second))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	const steady = 10
	for {
		if err := b.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("tcpdump does not read what was taken: %s", b.said())
		}
		all := b.counts()
		if len(all) == 0 {
			continue
		}
		last := all[len(all)-1]
		if last[0]+last[2] >= all[0][1] || len(all) > steady && last[0] == all[len(all)-1-steady][0] {
			return nil
		}
	}
}

func (w *walk) stopAll() error {
	var errs []error
	if w.capture != nil {
		errs = append(errs, w.capture.stop())
	}
	for _, p := range w.pingers {
		p.stop(math.MaxInt) // nobody asks how it went
	}
	return errors.Join(errs...)
}

func verbCapture(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 3 || w.capture != nil {
		return usage("capture HOST IFACE FILE [FILTER], one at a time")
	}
	argv := append([]string{"tcpdump", "-nn", "-l", "--immediate-mode", "-Z", "root", "-i", args[1]}, args[3:]...)
	b, err := watch(ctx, w.lab.Net(ctx, args[0], argv...), ts.MkAbs(args[2]), regexp.MustCompile(`listening on`))
	w.capture = b
	return err
}

func verbStopCapture(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 0 || w.capture == nil {
		return usage("stopcapture, after capture")
	}
	b := w.capture
	w.capture = nil
	return errors.Join(b.drain(ctx), b.stop())
}

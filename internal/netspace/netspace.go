//go:build linux

package netspace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
)

// Space is a network namespace with a thread of its own, which is never given
// back: the runtime ends it with its goroutine.
type Space struct {
	t    TB
	path string
	work chan func()
}

// TB is the part of TB that a Space uses.
type TB interface {
	lab.TB
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// New makes a Space for one test, with its loopback up and without the wait for IPv6's
// duplicate addresses. It needs root.
func New(t TB) *Space {
	t.Helper()
	lab.Need(t)
	h := &Space{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	t.Cleanup(func() { close(h.work) })
	h.Sh("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0")
	return h
}

// Path names the namespace, for `ip link set … netns`.
func (h *Space) Path() string { return h.path }

// Do runs f on the namespace's thread.
func (h *Space) Do(f func()) {
	done := make(chan struct{})
	h.work <- func() { defer close(done); f() }
	<-done
}

// Try runs a shell command in the namespace and returns what it wrote to both outputs.
func (h *Space) Try(script string) (string, error) {
	var out []byte
	var err error
	h.Do(func() { out, err = exec.Command("sh", "-ec", script).CombinedOutput() })
	return string(out), err
}

// Sh is Try, and the end of the test where the command fails.
func (h *Space) Sh(script string) string {
	h.t.Helper()
	out, err := h.Try(script)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// Reaches pings until an answer comes, three seconds at most.
func (h *Space) Reaches(ip string) {
	h.t.Helper()
	var out string
	var err error
	for range 6 {
		if out, err = h.Try("ping -n -c1 -W0.5 " + ip); err == nil {
			return
		}
	}
	h.t.Errorf("ping %s: no answer\n%s\n%s", ip, out, h.Sh("ip neigh"))
}

// ReachesNot pings all of ips at once, three times.
func (h *Space) ReachesNot(ips ...string) {
	h.t.Helper()
	script := "for ip in " + strings.Join(ips, " ") + "; do ping -n -c3 -i0.1 -W0.3 $ip & done; wait"
	if out := h.Sh(script); strings.Contains(out, " bytes from ") {
		h.t.Errorf("ping %s answers:\n%s", ips, out)
	}
}

// marker ends a capture: a frame of the first type left for experiments (IEEE 802).
const marker = 0x88b5

// Watch captures on dev while f runs and returns tcpdump's lines. What f caused
// is in them: the capture ends with a frame sent after f.
func (h *Space) Watch(dev, filter string, f func()) string {
	h.t.Helper()
	if filter = fmt.Sprintf("ether proto %d or (%s)", marker, filter); strings.HasSuffix(filter, "()") {
		filter = ""
	}
	cmd := exec.Command("tcpdump", "-i", dev, "-l", "-nn", "-e", "--immediate-mode", filter)
	stdout, err1 := cmd.StdoutPipe()
	stderr, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2); err != nil {
		h.t.Fatal(err)
	}
	var err error
	h.Do(func() { err = cmd.Start() })
	if err != nil {
		h.t.Fatalf("start tcpdump: %v", err)
	}
	defer func() {
		if err := errors.Join(cmd.Process.Kill(), cmd.Wait()); !strings.Contains(err.Error(), "killed") {
			h.t.Errorf("end tcpdump: %v", err)
		}
	}()
	h.until(bufio.NewScanner(stderr), "listening on")
	f()
	h.Do(func() { err = sendMarker(dev) })
	if err != nil {
		h.t.Fatalf("send a frame on %s: %v", dev, err)
	}
	return h.until(bufio.NewScanner(stdout), fmt.Sprintf("0x%04x", marker))
}

// until reads lines up to one with word.
func (h *Space) until(lines *bufio.Scanner, word string) string {
	h.t.Helper()
	var out strings.Builder
	for lines.Scan() {
		if strings.Contains(lines.Text(), word) {
			return out.String()
		}
		out.WriteString(lines.Text() + "\n")
	}
	h.t.Fatalf("tcpdump ended before %q: %v\n%s", word, lines.Err(), out.String())
	return ""
}

func sendMarker(dev string) error {
	link, err := net.InterfaceByName(dev)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	frame := append(bytes.Repeat([]byte{0xff}, 6), 0x6a, 1, 2, 3, 4, 5, marker>>8, marker&0xff)
	frame = append(frame, make([]byte, 46)...)
	err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	return errors.Join(err, unix.Close(fd))
}

// Join connects device dev of h with port of the switch or bridge other.
func (h *Space) Join(dev string, other *Space, port, bridge string) {
	h.t.Helper()
	h.Sh(fmt.Sprintf("ip link add %s type veth peer name %s; ip link set %s netns %s; ip link set %s up", dev, port, port, other.path, dev))
	other.Sh(fmt.Sprintf("ip link set %s master %s up", port, bridge))
}

// AwaitLink waits until frames sent on dev go somewhere: the kernel takes up to
// a second to notice a carrier (linkwatch).
func (h *Space) AwaitLink(dev string) {
	h.t.Helper()
	Poll(h.t, func() error {
		if out := h.Sh("ip link show dev " + dev); !strings.Contains(out, "state UP") {
			return fmt.Errorf("%s is %q", dev, out)
		}
		return nil
	})
}

// Ruleset is everything in nftables, without handles and counters.
func (h *Space) Ruleset() string {
	h.t.Helper()
	return h.Sh("nft -s list ruleset")
}

// Poll tries until it works, 20 seconds at most: a machine that is busy with something else takes
// its time over a script or a timer.
func Poll(t TB, try func() error) {
	t.Helper()
	PollFor(t, 20*time.Second, try)
}

// PollFor tries until it works, or fails t with the last error when patience is over.
func PollFor(t TB, patience time.Duration, try func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

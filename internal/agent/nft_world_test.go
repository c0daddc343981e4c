//go:build linux

package agent

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
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
)

// nftHost is a network namespace with a thread of its own, which is never given
// back: the runtime ends it with its goroutine.
type nftHost struct {
	t    testing.TB
	path string // for `ip link set … netns`
	work chan func()
}

func newNFTHost(t testing.TB) *nftHost {
	t.Helper()
	lab.Need(t)
	h := &nftHost{t: t, work: make(chan func())}
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
	h.sh("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0")
	return h
}

// do runs f on the namespace's thread.
func (h *nftHost) do(f func()) {
	done := make(chan struct{})
	h.work <- func() { defer close(done); f() }
	<-done
}

// try runs a shell command in the namespace.
func (h *nftHost) try(script string) (string, error) {
	var out []byte
	var err error
	h.do(func() { out, err = exec.Command("sh", "-ec", script).CombinedOutput() })
	return string(out), err
}

func (h *nftHost) sh(script string) string {
	h.t.Helper()
	out, err := h.try(script)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// reaches pings until an answer comes, three seconds at most.
func (h *nftHost) reaches(ip string) {
	h.t.Helper()
	var out string
	var err error
	for range 6 {
		if out, err = h.try("ping -n -c1 -W0.5 " + ip); err == nil {
			return
		}
	}
	h.t.Errorf("ping %s: no answer\n%s\n%s", ip, out, h.sh("ip neigh"))
}

// reachesNot pings all of ips at once, three times.
func (h *nftHost) reachesNot(ips ...string) {
	h.t.Helper()
	script := "for ip in " + strings.Join(ips, " ") + "; do ping -n -c3 -i0.1 -W0.3 $ip & done; wait"
	if out := h.sh(script); strings.Contains(out, " bytes from ") {
		h.t.Errorf("ping %s answers:\n%s", ips, out)
	}
}

// marker ends a capture: a frame of the first type left for experiments (IEEE 802).
const marker = 0x88b5

// watch captures on dev while f runs and returns tcpdump's lines. What f caused
// is in them: the capture ends with a frame sent after f.
func (h *nftHost) watch(dev, filter string, f func()) string {
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
	h.do(func() { err = cmd.Start() })
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
	h.do(func() { err = sendMarker(dev) })
	if err != nil {
		h.t.Fatalf("send a frame on %s: %v", dev, err)
	}
	return h.until(bufio.NewScanner(stdout), fmt.Sprintf("0x%04x", marker))
}

// until reads lines up to one with word.
func (h *nftHost) until(lines *bufio.Scanner, word string) string {
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

// join connects device dev of h with port of the switch or bridge other.
func (h *nftHost) join(dev string, other *nftHost, port, bridge string) {
	h.t.Helper()
	h.sh(fmt.Sprintf("ip link add %s type veth peer name %s; ip link set %s netns %s; ip link set %s up", dev, port, port, other.path, dev))
	other.sh(fmt.Sprintf("ip link set %s master %s up", port, bridge))
}

// ruleset is everything in nftables, without handles and counters.
func (h *nftHost) ruleset() string {
	h.t.Helper()
	return h.sh("nft -s list ruleset")
}

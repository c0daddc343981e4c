//go:build linux

package dhcp

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/netspace"
)

// testDir is where a test keeps a server's files that its daemons need to know.
const testDir = "FLOCK_TEST_DIR"

// TestMain also makes this test binary the daemon that answers for names.
func TestMain(m *testing.M) {
	if len(os.Args) < 4 || os.Args[1] != "agent" {
		// A test's thread is in a namespace of its own, an agent's is not.
		socket.ProcNet, unit.OwnNetwork = "/proc/thread-self/net", "/proc/thread-self/ns/net"
		os.Exit(borrowed(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	_, network, _ := strings.Cut(os.Args[3], "/")
	err := serverIn(os.Getenv(testDir)).Answer(ctx, network, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// borrowed runs the tests with inotify instances for all the dnsmasqs that they start.
func borrowed(m *testing.M) int {
	giveBack, err := lab.Borrow()
	if err != nil { // a container whose /proc/sys is read only: the tests of no daemon run there
		fmt.Fprintln(os.Stderr, err)
		return m.Run()
	}
	code := m.Run()
	if err := giveBack(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// host is a server, or what it is connected with, in a network namespace.
type host struct {
	*netspace.Space
	t testing.TB
}

func newHost(t testing.TB) *host {
	t.Helper()
	return &host{Space: netspace.New(t), t: t}
}

func (h *host) do(f func()) { h.Do(f) }

func (h *host) try(script string) (string, error) { return h.Try(script) }

func (h *host) sh(script string) string { h.t.Helper(); return h.Sh(script) }

func (h *host) reaches(ip string) { h.t.Helper(); h.Reaches(ip) }

func (h *host) awaitCarrier(dev string) { h.t.Helper(); h.AwaitLink(dev) }

func (h *host) join(dev string, other *host, port, bridge string) {
	h.t.Helper()
	h.Join(dev, other.Space, port, bridge)
}

// poll tries until it works, five seconds at most.
func poll(t testing.TB, try func() error) { t.Helper(); netspace.Poll(t, try) }

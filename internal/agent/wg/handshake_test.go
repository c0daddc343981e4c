//go:build linux

package wg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// ruled is a pace that is told what to say, and notes what it is asked.
type ruled struct {
	over  bool
	below []netip.Addr
	tight bool // it was asked before enough
}

func (r *ruled) Look(below []netip.Addr) { r.below = below }

func (r *ruled) Over(since time.Time) bool {
	r.tight = r.tight || time.Since(since) < enough
	return r.over
}

// TestHandshakeTriesAsOftenAsNeeded: two attempts where all that is seen says that an answer would be
// here, three else, and never one alone.
func TestHandshakeTriesAsOftenAsNeeded(t *testing.T) {
	lab.Need(t)
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	device := fmt.Sprintf("test%d", os.Getpid())
	if err := os.MkdirAll(SocketDir, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(SocketDir, device+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close() // RemoveSocket says what is left
		if err := RemoveSocket(device); err != nil {
			t.Error(err)
		}
	})
	var removed atomic.Int32 // peers, each time that one is spoken to anew
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			unheard(c, fmt.Sprintf("private_key=%x\npublic_key=%x\n", key[:], key[:]), &removed)
		}
	}()
	peer := spec.Peer{Link: device, Key: key.String(), Endpoint: "192.0.2.7:51820"}
	for _, test := range []struct {
		over bool
		anew int32
	}{{true, 1}, {false, 2}} {
		removed.Store(0)
		s, pace := NewServer(func(string) bool { return true }), &ruled{over: test.over}
		s.Confirmed(func() []spec.Peer { return nil })
		silent, err := s.Handshake(context.Background(), []spec.Peer{peer}, pace)
		if err != nil || len(silent) != 1 || removed.Load() != test.anew || pace.tight || !slices.Equal(pace.below, []netip.Addr{netip.MustParseAddr("192.0.2.7")}) {
			t.Errorf("over %v: %d times anew, %d are wanted, silent %v at %v, %v", test.over, removed.Load(), test.anew, silent, pace.below, err)
		}
	}
}

// unheard is a process with a peer that nobody hears.
func unheard(c net.Conn, device string, removed *atomic.Int32) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	what := ""
	for lines.Scan() && lines.Text() != "" {
		what += lines.Text() + "\n"
	}
	removed.Add(int32(strings.Count(what, "remove=true"))) //nolint:gosec // a few
	if strings.HasPrefix(what, "set") {
		device = ""
	}
	_, _ = io.WriteString(c, device+"errno=0\n\n") // as above
}

//go:build linux

package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/netspace"
)

// nftHost is a server, or what it is connected with, in a network namespace.
type nftHost struct {
	*netspace.Space
	t testing.TB
}

func newNFTHost(t testing.TB) *nftHost {
	t.Helper()
	return &nftHost{Space: netspace.New(t), t: t}
}

func (h *nftHost) do(f func()) { h.Do(f) }

func (h *nftHost) try(script string) (string, error) { return h.Try(script) }

func (h *nftHost) sh(script string) string { h.t.Helper(); return h.Sh(script) }

func (h *nftHost) reaches(ip string) { h.t.Helper(); h.Reaches(ip) }

func (h *nftHost) awaitCarrier(dev string) { h.t.Helper(); h.AwaitLink(dev) }

func (h *nftHost) join(dev string, other *nftHost, port, bridge string) {
	h.t.Helper()
	h.Join(dev, other.Space, port, bridge)
}

// poll tries until it works, five seconds at most.
func poll(t testing.TB, try func() error) { t.Helper(); netspace.Poll(t, try) }

// sortedLines is text with its lines in order.
func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

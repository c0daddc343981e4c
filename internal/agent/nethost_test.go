//go:build linux

package agent

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
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

// testFiles keeps its files in a directory that nobody, as whom dnsmasq runs,
// can enter, and ends what it started.
func testFiles(t testing.TB, h *nftHost) *host.Files {
	t.Helper()
	dir, err := os.MkdirTemp("", "flock-files-") //nolint:usetesting // nobody cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	s := filesIn(dir)
	t.Cleanup(func() {
		h.do(func() { err = s.DHCP.Remove(context.Background(), testDHCP().Network) })
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func filesIn(dir string) *host.Files {
	return host.FilesAt("test", host.Paths{
		Lib: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run"), Units: filepath.Join(dir, "units"),
		Network: filepath.Join(dir, "network"), NM: filepath.Join(dir, "nm", "conf.d"),
		Systemd: filepath.Join(dir, "systemd"), Netif: filepath.Join(dir, "netif"), NMRun: filepath.Join(dir, "nmrun"),
	})
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func testDHCP() spec.DHCP {
	return spec.DHCP{
		Network: "vx1", Bridge: "vxl0", Domain: "vxapp", MTU: 1450,
		Listen: addrs("10.0.4.254"), DNS: addrs("10.0.4.254"), Router: netip.MustParseAddr("10.0.4.1"),
		Ranges: []spec.Range{{First: netip.MustParseAddr("10.0.4.2"), Last: netip.MustParseAddr("10.0.4.190"), Subnet: netip.MustParsePrefix("10.0.4.0/24")}},
		Hosts:  []spec.HostName{{Name: "s1", Addr: netip.MustParseAddr("10.0.4.254")}},
	}
}

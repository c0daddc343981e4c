//go:build linux

package bgp

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

func TestMeshFillsTheKernels(t *testing.T) {
	g := newSegment(t, "s1", "s2", "s3")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24"), "s3": prefixes("10.0.12.0/24")}
	d1, d2, d3 := g.daemon("s1", g.mesh("s1", shares)), g.daemon("s2", g.mesh("s2", shares)), g.daemon("s3", g.mesh("s3", shares))
	g.awaitKernel("s1", 15*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
	g.awaitKernel("s2", 15*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
	for _, d := range []*daemonProcess{d1, d2, d3} {
		d.awaitUp()
	}
	s := d1.status()
	if len(s.Routes) != 3 || !s.Routes[0].Local || s.Routes[0].Kernel || !s.Routes[1].Kernel || s.Routes[1].Paths[0].NextHop != g.v4("s2") {
		t.Fatalf("routes %+v", s.Routes)
	}
	if n := s.Neighbors[0]; n.Name != "s2" || n.Received != 1 || n.Accepted != 1 || n.Sent != 1 || n.Uptime == 0 || n.Why != "" {
		t.Fatalf("neighbor %+v", n)
	}

	t.Run("a route deleted by hand comes back", func(t *testing.T) {
		g.sh("s1", "ip route delete 10.0.11.0/24 proto 71")
		g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
		g.sh("s1", "ip route flush proto 71; ip route add 10.0.99.0/24 via 10.99.0.2 proto 71 metric 71")
		g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
		g.sh("s1", "ip link set eth0 down")
		g.awaitKernel("s1", time.Second)
		g.sh("s1", "ip link set eth0 up")
		g.awaitKernel("s1", 2*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
	})

	t.Run("changes leave sessions alone", func(t *testing.T) {
		before := d1.neighbor(g.v4("s2")).Uptime
		more := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24", "10.0.20.0/24"), "s2": shares["s2"]}
		d1.reload(g.mesh("s1", more))
		g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
		g.awaitKernel("s2", time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0", "10.0.20.0/24 via 10.99.0.1 dev eth0")
		d1.reload(g.mesh("s1", shares))
		g.awaitKernel("s1", 15*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
		g.awaitKernel("s2", time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
		if after := d1.neighbor(g.v4("s2")).Uptime; after < before {
			t.Fatalf("the session with s2 was up for %v, now for %v", before, after)
		}
	})

	t.Run("the end leaves nothing", func(t *testing.T) {
		// A neighbour that still sends its first routes when the session ends may fail to
		// write before it has read the NOTIFICATION, and takes the end for a restart.
		g.awaitKernel("s3", 15*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "10.0.11.0/24 via 10.99.0.2 dev eth0")
		if _, err := d3.ask(spec.BGPEnd, false); err != nil {
			t.Fatal(err)
		}
		g.awaitKernel("s3", 0)
		g.awaitKernel("s1", 10*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
		if err := d3.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStockClient: GoBGP's own client of the daemon's version sees it, on a socket of
// root's.
func TestStockClient(t *testing.T) {
	client := filepath.Join(t.TempDir(), "gobgp")
	run(t, "go", "build", "-o", client, "github.com/osrg/gobgp/v4/cmd/gobgp")
	g := newSegment(t, "s1", "s2")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	d := g.daemon("s1", g.mesh("s1", shares))
	g.daemon("s2", g.mesh("s2", shares))
	d.awaitUp()
	socket := filepath.Join(d.dir, spec.BGPAPISocket)
	for words, want := range map[string]string{"neighbor": "10.99.0.2", "global rib": "10.0.11.0/24"} {
		args := append([]string{"--target", "unix://" + socket}, strings.Fields(words)...)
		out, err := exec.Command(client, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("gobgp %s: %v\n%s", words, err, out)
		}
	}
	for _, path := range []string{socket, filepath.Join(d.dir, spec.BGPSocket)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

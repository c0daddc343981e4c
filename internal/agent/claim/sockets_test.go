//go:build linux

package claim

import (
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/netspace"
)

// A socket of the kernel's has an inode, too, and no process has it open.
func TestSocketOfTheKernelIsNobodys(t *testing.T) {
	s := netspace.New(t)
	s.Sh("ip link add far type vxlan id 9 dstport 4789 local 10.99.0.1; ip link set far up")
	s.Do(func() {
		const tables = "/proc/thread-self/net"
		inodes := map[string]bool{}
		if err := readSockets(filepath.Join(tables, "udp"), host.Everywhere(4789)[0], "", inodes); err != nil || len(inodes) != 1 || inodes["0"] {
			t.Errorf("inodes of the kernel's socket: %v, %v", inodes, err)
		}
		if holder, pid := socketHolder(inodes); pid != 0 {
			t.Errorf("%s (%d) holds the kernel's socket", holder, pid)
		}
	})
}

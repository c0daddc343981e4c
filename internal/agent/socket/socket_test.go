//go:build linux

package socket

import (
	"testing"

	"github.com/flocknet/flock/internal/netspace"
)

// A socket of the kernel's has an inode, too, and no process has it open.
func TestSocketOfTheKernelIsNobodys(t *testing.T) {
	h := netspace.New(t)
	h.Sh("ip link add far type vxlan id 9 dstport 4789 local 10.99.0.1; ip link set far up")
	h.Do(func() {
		at := Everywhere(4789)[0]
		inodes := map[string]bool{}
		if err := readSockets("/proc/thread-self/net/udp", at, "", inodes); err != nil || len(inodes) != 1 || inodes["0"] {
			t.Errorf("inodes of the kernel's socket: %v, %v", inodes, err)
		}
		if holder, pid := socketHolder(inodes); pid != 0 {
			t.Errorf("%s (%d) holds the kernel's socket", holder, pid)
		}
		if l := (Listener{At: at}); !l.Taken() {
			t.Errorf("%s is free", l)
		}
	})
}

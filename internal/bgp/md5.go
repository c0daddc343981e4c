//go:build linux

package bgp

import (
	"os"
	"strconv"
	"strings"
)

// md5Drops counts the TCP segments that this server dropped since it booted because
// their MD5 signature (RFC 2385) was wrong, missing or not expected: TcpExt in
// /proc/net/netstat. 0 if the kernel does not count them.
func md5Drops() uint64 {
	data, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0
	}
	var names []string
	sum := uint64(0)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i, name := range names {
			if strings.HasPrefix(name, "TCPMD5") && i < len(f) {
				n, err := strconv.ParseUint(f[i], 10, 64)
				if err == nil {
					sum += n
				}
			}
		}
	}
	return sum
}

//go:build linux

package dhcp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// routed says whether a route of its own leads to a peer. What is for a peer must not leave by
// the default route while that is missing, unencrypted for example (docs/decisions/017).
func routed(to netip.Addr) bool {
	const message, address, bits = unix.SizeofNlMsghdr, unix.SizeofNlMsghdr + unix.SizeofRtMsg, unix.SizeofNlMsghdr + 1
	var m [address + 4 + 16]byte
	size := address + 4 + to.BitLen()/8
	m[message], m[bits] = unix.AF_INET6, byte(to.BitLen())
	if to.Is4() {
		m[message] = unix.AF_INET
	}
	order := binary.NativeEndian
	order.PutUint32(m[:], uint32(size)) //nolint:gosec // 48 at most
	order.PutUint16(m[4:], unix.RTM_GETROUTE)
	order.PutUint16(m[6:], unix.NLM_F_REQUEST)
	order.PutUint32(m[message+8:], unix.RTM_F_FIB_MATCH)
	order.PutUint16(m[address:], uint16(size-address)) //nolint:gosec // 20 at most
	order.PutUint16(m[address+2:], unix.RTA_DST)
	copy(m[address+4:], to.AsSlice())
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // only asked
	if _, err := unix.Write(fd, m[:size]); err != nil {
		return false
	}
	// The rest of the answer is not looked at.
	n, err := unix.Read(fd, m[:])
	return err == nil && n > bits && order.Uint16(m[4:]) == unix.RTM_NEWROUTE && m[bits] > 0
}

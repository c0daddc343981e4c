//go:build linux

package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// ProcNet shows the tables of this process's network namespace. Tests, whose
// threads have namespaces of their own, look below /proc/thread-self (unit.OwnNetwork).
var ProcNet = "/proc/self/net"

// Whether a port is free the kernel tells by a socket that is bound as the real one
// will be, and closed at once: it knows who shares what with whom. Who holds the port
// is looked for only then; that reads what every process has open.

// Listener is a socket that a daemon, or a device, of ours is about to open.
type Listener struct {
	At     netip.AddrPort // the address may be one that is not there yet
	Stream bool           // TCP
	Share  []int          // options of SOL_SOCKET by which daemons let others beside them
}

func (l Listener) String() string {
	text := "UDP port "
	if l.Stream {
		text = "TCP port "
	}
	text += strconv.Itoa(int(l.At.Port()))
	if a := l.At.Addr(); !a.IsUnspecified() {
		text += " of " + a.String()
	}
	return text
}

// Taken says whether somebody holds the port in l's way. What this kernel has no
// sockets for is not taken.
func (l Listener) Taken() bool {
	family, sort := unix.AF_INET, unix.SOCK_DGRAM
	if l.At.Addr().Is6() {
		family = unix.AF_INET6
	}
	if l.Stream {
		sort = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family, sort|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	var to unix.Sockaddr
	if family == unix.AF_INET6 {
		six := &unix.SockaddrInet6{Port: int(l.At.Port()), Addr: l.At.Addr().As16()}
		if link, err := unix.NewIfreq(l.At.Addr().Zone()); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, link) == nil {
			six.ZoneId = link.Uint32()
		}
		to = six
	} else {
		to = &unix.SockaddrInet4{Port: int(l.At.Port()), Addr: l.At.Addr().As4()}
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	for _, option := range l.Share {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1))
	}
	err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1), unix.Bind(fd, to))
	return errors.Is(err, unix.EADDRINUSE)
}

// Everywhere are the addresses of a socket that takes in what comes for any address.
func Everywhere(port uint16) []netip.AddrPort {
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv4Unspecified(), port), netip.AddrPortFrom(netip.IPv6Unspecified(), port),
	}
}

// Process is a process with a socket in l's way, 0 if there is none to be seen. It reads
// what every process has open.
func (l Listener) Process() (name string, pid int) {
	tables, state := []string{"udp", "udp6"}, ""
	if l.Stream {
		tables, state = []string{"tcp", "tcp6"}, tcpListens
	}
	if l.At.Addr().Is6() {
		slices.Reverse(tables)
	}
	// The kernel lists sockets and processes piece by piece: one may be missed while others go.
	for range 2 {
		for _, table := range tables {
			inodes := map[string]bool{}
			if err := readSockets(filepath.Join(ProcNet, table), l.At, state, inodes); err != nil || len(inodes) == 0 {
				continue
			}
			if name, pid := socketHolder(inodes); pid != 0 {
				return name, pid
			}
		}
	}
	return "", 0
}

// tcpListens is the state of a TCP socket that takes connections (linux,
// net/tcp_states.h: TCP_LISTEN).
const tcpListens = "0A"

// readSockets adds the inodes of the sockets that overlap at, in state or, if that is
// "", in any; the table is proc_net(5)'s.
func readSockets(path string, at netip.AddrPort, state string, inodes map[string]bool) error {
	data, err := sysfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	if err != nil {
		return fmt.Errorf("list sockets: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || state != "" && fields[3] != state {
			continue
		}
		have, ok := socketAddr(fields[1])
		either := have.Addr().IsUnspecified() || at.Addr().IsUnspecified()
		if ok && have.Port() == at.Port() && (either || have.Addr() == at.Addr().Unmap().WithZone("")) {
			inodes[fields[9]] = true
		}
	}
	return nil
}

// socketAddr reads an address as the kernel's tables have it: words of four bytes in
// the order of the processor, hexadecimal, and the port.
func socketAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	var b []byte
	for ; err == nil && len(host) >= 8; host = host[8:] {
		var word uint64
		if word, err = strconv.ParseUint(host[:8], 16, 32); err == nil {
			b = binary.NativeEndian.AppendUint32(b, uint32(word))
		}
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), ok && err == nil
}

// socketHolder finds a process that has one of the sockets open. Processes come
// and go while it looks: what cannot be read is not there any more.
func socketHolder(inodes map[string]bool) (name string, pid int) {
	all, err := sysfile.Names("/proc")
	if err != nil {
		return "", 0
	}
	slices.Sort(all)
	for _, number := range all {
		pid, err := strconv.Atoi(number)
		if err != nil || !holdsSocket(number, inodes) {
			continue
		}
		comm, err := sysfile.Read("/proc/" + number + "/comm")
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(comm)), pid
	}
	return "", 0
}

// holdsSocket says whether a process has one of the sockets open.
func holdsSocket(pid string, inodes map[string]bool) bool {
	dir := "/proc/" + pid + "/fd/"
	open, err := sysfile.Names(dir)
	return err == nil && slices.ContainsFunc(open, func(fd string) bool {
		target, err := os.Readlink(dir + fd)
		inode, ok := strings.CutPrefix(target, "socket:[")
		return err == nil && ok && inodes[strings.TrimSuffix(inode, "]")]
	})
}

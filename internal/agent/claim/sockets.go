//go:build linux

package claim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Whether a port is free the kernel tells by a socket that is bound as the real one
// will be, and closed at once: it knows who shares what with whom. Who holds the port
// is looked for only then; that reads what every process has open.

// holder is who has a port.
type holder struct {
	name string // in a sentence: named (process 77), the WireGuard device wg0
	stop string // what to do about it
	pid  int    // 0: no process
}

// problem says that l's port is not free. In advice %s stands for what to do about who
// has it.
func (h holder) problem(l host.Listener, advice string) spec.Problem {
	return spec.Problem{What: fmt.Sprintf("%s is in use by %s", l, h.name), Next: fmt.Sprintf(advice, h.stop)}
}

// holderOf finds out who holds the port in l's way: a process, or a device of the
// kernel's, whose sockets stand in the same tables but are nobody's.
func holderOf(k *host.Host, l host.Listener) holder {
	if name, pid := ProcessAt(l); pid != 0 {
		return holder{fmt.Sprintf("%s (process %d)", name, pid), "stop " + name, pid}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		dev := k.Devices.ByName[name]
		word := listens(k, dev, l.At.Port())
		switch {
		case word == "" || l.Stream:
		case host.Flocks(dev):
			return holder{fmt.Sprintf("the %s device %s", word, name), "have its cluster, " + ownerOf(dev) + ", use another", 0}
		default:
			return holder{fmt.Sprintf("the %s device %s", word, name), "remove it: ip link delete " + name, 0}
		}
	}
	return holder{"the kernel, or by a process that is not shown here", "find out who has it: ss -lntup", 0}
}

// listens says of what kind a device is that has the kernel listen on a UDP port, ""
// if it does not.
func listens(k *host.Host, dev netlink.Link, port uint16) string {
	switch v := dev.(type) {
	case *netlink.Vxlan:
		if v.Port == int(port) {
			return "VXLAN"
		}
	case *netlink.Wireguard:
		if d, err := k.WG.Device(v.Name); err == nil && d != nil && d.ListenPort == int(port) {
			return "WireGuard"
		}
	}
	return ""
}

// ProcessAt is a process with a socket in l's way, 0 if there is none to be seen.
func ProcessAt(l host.Listener) (name string, pid int) {
	tables, state := []string{"udp", "udp6"}, ""
	if l.Stream {
		tables, state = []string{"tcp", "tcp6"}, tcpListens
	}
	if l.At.Addr().Is6() {
		slices.Reverse(tables)
	}
	for _, table := range tables {
		inodes := map[string]bool{}
		if err := readSockets(filepath.Join(host.ProcNet, table), l.At, state, inodes); err != nil || len(inodes) == 0 {
			continue
		}
		if name, pid := socketHolder(inodes); pid != 0 {
			return name, pid
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
		if ok && have.Port() == at.Port() && (either || have.Addr() == at.Addr().Unmap()) {
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

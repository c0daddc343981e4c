//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/spec"
)

const dockerConfig = "/etc/docker/daemon.json"

// dockerPools are the prefixes Docker's configuration takes networks from. A
// server without the file has none.
func dockerPools(path string) ([]netip.Prefix, error) {
	data, err := slurp(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	var config struct {
		BIP       string `json:"bip"`
		Fixed     string `json:"fixed-cidr"`
		Fixed6    string `json:"fixed-cidr-v6"`
		AddrPools []struct {
			Base string `json:"base"`
		} `json:"default-address-pools"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read Docker's configuration %s: %w", path, err)
	}
	texts := []string{config.BIP, config.Fixed, config.Fixed6}
	for _, p := range config.AddrPools {
		texts = append(texts, p.Base)
	}
	var out []netip.Prefix
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil { // what Docker cannot read itself holds nothing
			out = append(out, p.Masked())
		}
	}
	return out, nil
}

// claimPort says which process holds a UDP port. The kernel's own VXLAN sockets
// stand in the same table, also with an inode; but no process has them open
// (linux 6.18, TestPortOfVXLANIsNoConflict).
func (k *Kernel) claimPort(port uint16) (*spec.Problem, error) {
	if port == 0 || k.wg.ports[port] {
		return nil, nil // a WireGuard device of ours in userspace is a process too
	}
	for _, l := range k.devices.byName {
		if v, ok := l.(*netlink.Vxlan); ok && v.Port == int(port) {
			return nil, nil // VXLAN devices share the kernel's socket
		}
	}
	inodes := map[string]bool{}
	for _, table := range []string{"udp", "udp6"} {
		if err := readSockets(filepath.Join(procNet, table), port, "", inodes); err != nil {
			return nil, err
		}
	}
	if len(inodes) == 0 {
		return nil, nil
	}
	holder, pid := socketHolder(inodes)
	if pid == 0 {
		return nil, nil
	}
	return &spec.Problem{
		What: fmt.Sprintf("UDP port %d is in use by %s (process %d)", port, holder, pid),
		Next: "choose another port (-p), or stop " + holder,
	}, nil
}

// tcpListens is the state of a TCP socket that takes connections (linux,
// net/tcp_states.h: TCP_LISTEN).
const tcpListens = "0A"

// readSockets adds the inodes of the sockets on port, in state or, if that is "",
// in any; the table is proc_net(5)'s.
func readSockets(path string, port uint16, state string, inodes map[string]bool) error {
	data, err := slurp(path)
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
		_, text, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(text, 16, 16); err == nil && uint16(n) == port {
			inodes[fields[9]] = true
		}
	}
	return nil
}

// socketHolder finds a process that has one of the sockets open. Processes come
// and go while it looks: what cannot be read is not there any more.
func socketHolder(inodes map[string]bool) (name string, pid int) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "", 0
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		comm, err := slurp(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(comm)), pid
	}
	return "", 0
}

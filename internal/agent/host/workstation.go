//go:build linux

package host

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// Workstation is the address that this session's SSH connection comes from:
// whatever we route elsewhere, not that. It stands in the environment that sshd
// gave the session (SSH_CONNECTION, ssh(1)), which sudo keeps from us but not from
// our parents. Without a session it is not valid.
func Workstation() netip.Addr {
	if a := connectionFrom([]byte(sshConnection + os.Getenv("SSH_CONNECTION"))); a.IsValid() {
		return a
	}
	for pid := os.Getpid(); pid > 1; pid = parentOf(pid) {
		data, err := sysfile.Read(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			return netip.Addr{}
		}
		if a := connectionFrom(data); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

const sshConnection = "SSH_CONNECTION="

// connectionFrom finds the client's address in an environment as /proc has it.
func connectionFrom(environ []byte) netip.Addr {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		value, found := bytes.CutPrefix(entry, []byte(sshConnection))
		if !found {
			continue
		}
		client, _, _ := strings.Cut(string(value), " ")
		if a, err := netip.ParseAddr(client); err == nil {
			return a.Unmap().WithZone("")
		}
	}
	return netip.Addr{}
}

// parentOf reads the fourth field of /proc/PID/stat, behind the name, which may
// contain anything (proc_pid_stat(5)); 0 where there is none.
func parentOf(pid int) int {
	data, err := sysfile.Read(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

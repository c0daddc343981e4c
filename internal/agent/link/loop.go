//go:build linux

package link

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Nothing ends a loop between two ports of a bridge that does not speak STP: the first
// broadcast goes round for ever, on everybody's wire. So a device is asked before it
// becomes a port: a frame that is sent out by it must not come in by another port.

const (
	loopProtocol = 0x88b5 // for experiments (IEEE 802)
	loopWithin   = 300 * time.Millisecond
	loopFrames   = 3          // one may be lost
	skfProtocol  = 0xfffff000 // SKF_AD_OFF + SKF_AD_PROTOCOL (linux/filter.h)
)

// loop says that l leads to where another port of bridge does; nil: it does not, or nobody can tell.
func loop(k *host.Host, l netlink.Link, bridge string) *spec.Problem {
	b, a := k.Devices.ByName[bridge], l.Attrs()
	if b == nil || a.MasterIndex == b.Attrs().Index {
		return nil
	}
	others := map[int]string{}
	for _, port := range k.PortsOf(b.Attrs().Index) {
		others[port.Attrs().Index] = port.Attrs().Name
	}
	if len(others) == 0 {
		return nil
	}
	other, err := heardBy(a.Index, others)
	if err != nil || other == "" { // who is down sends nothing
		return nil
	}
	return &spec.Problem{
		What: "it and " + other + ", a port of " + bridge + ", are on one segment: a frame sent out by one came in by the other, and would go round for ever",
		Next: "ip link set " + other + " nomaster, or another interface",
	}
}

// heardBy is the one of others that hears a frame sent out by the device with index.
func heardBy(index int, others map[int]string) (string, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	// A bridge takes what its ports hear before sockets of one protocol do: this one is of
	// all, and its filter looks for that one (linux, __netif_receive_skb_core).
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: skfProtocol},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: loopProtocol, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil { //nolint:gosec // four
		return "", err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp.BigEndian(unix.ETH_P_ALL)}); err != nil {
		return "", err
	}
	sent := []byte("flock looks for a loop: " + rand.Text())
	to := arp.Broadcast(index)
	to.Protocol = arp.BigEndian(loopProtocol)
	tick := unix.NsecToTimeval((loopWithin / loopFrames).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		return "", err
	}
	m := make([]byte, 128)
	for range loopFrames {
		if err := unix.Sendto(fd, sent, 0, to); err != nil {
			return "", err
		}
		for until := time.Now().Add(loopWithin / loopFrames); time.Now().Before(until); {
			n, from, err := unix.Recvfrom(fd, m, 0)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return "", err
			}
			at, ok := from.(*unix.SockaddrLinklayer)
			if ok && at.Pkttype != unix.PACKET_OUTGOING && n >= len(sent) && string(m[:len(sent)]) == string(sent) && others[at.Ifindex] != "" {
				return others[at.Ifindex], nil
			}
		}
	}
	return "", nil
}

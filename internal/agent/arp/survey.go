//go:build linux

package arp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// A network whose DHCP server is gone for good has lost its leases with it. The
// containers are still there: whoever hands out next asks the segment for them
// first (ARP, RFC 826).

const (
	surveyMost    = 4096                    // addresses; more would take too long
	surveyAtOnce  = 8                       // requests: each is flooded to all members, and a TUN device queues 500 packets
	surveyPause   = 5 * time.Millisecond    // before the next, at least
	surveyLate    = 500 * time.Millisecond  // for another server's answer, before the next is asked instead
	surveyLag     = 3 * time.Second         // for such answers in all
	surveyWait    = 300 * time.Millisecond  // for the last answers
	surveyRunning = 1500 * time.Millisecond // for the bridge to run
	surveyHold    = 12 * time.Hour          // what was found is theirs for the time of a lease
)

// Survey asks for every IPv4 address of the ranges on the bridge, in the name of
// own, and returns those in use as leases without a name. Requests go out no faster than
// the segment carries them: after each few, one of the others, servers that are on it, has
// answered.
func Survey(ctx context.Context, bridge string, own netip.Addr, others []netip.Addr, ranges []spec.Range) (string, error) {
	dev, err := net.InterfaceByName(bridge)
	if err != nil {
		return "", fmt.Errorf("look for containers on %s: %w", bridge, err)
	}
	if err := awaitRunning(ctx, bridge); err != nil {
		return "", fmt.Errorf("look for containers on %s: %w", bridge, err)
	}
	fd, err := Open(dev)
	if err != nil {
		return "", fmt.Errorf("look for containers on %s: %w", bridge, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	s := survey{fd: fd, dev: dev, own: own, others: others, lag: surveyLag, found: map[netip.Addr]net.HardwareAddr{}}
	asked := 0
	for _, r := range ranges {
		for a := r.First; a.Is4() && a.Compare(r.Last) <= 0 && asked < surveyMost; a = a.Next() {
			asked++
			err := ask(fd, dev, own, a)
			if err == nil && asked%surveyAtOnce == 0 {
				err = s.pause(ctx)
			}
			if err != nil {
				return "", fmt.Errorf("look for %s on %s: %w", a, bridge, err)
			}
		}
	}
	if err := s.hear(ctx, surveyWait, netip.Addr{}); err != nil {
		return "", fmt.Errorf("look for containers on %s: %w", bridge, err)
	}
	for _, other := range others { // one may have answered late
		delete(s.found, other)
	}
	until := strconv.FormatInt(time.Now().Add(surveyHold).Unix(), 10)
	var b strings.Builder
	for a, mac := range s.found {
		fmt.Fprintf(&b, "%s %s %s * *\n", until, mac, a)
	}
	return b.String(), nil
}

// survey is one that goes on.
type survey struct {
	fd     int
	dev    *net.Interface
	own    netip.Addr
	others []netip.Addr  // servers on the segment; the first is asked
	lag    time.Duration // how long their answers may still be waited for, in all
	found  map[netip.Addr]net.HardwareAddr
}

// pause waits until the segment has carried what was sent.
func (s *survey) pause(ctx context.Context) error {
	if err := s.hear(ctx, surveyPause, netip.Addr{}); err != nil || len(s.others) == 0 || s.lag <= 0 {
		return err
	}
	other, began := s.others[0], time.Now()
	defer delete(s.found, other)
	err := ask(s.fd, s.dev, s.own, other)
	if err == nil {
		err = s.hear(ctx, min(surveyLate, s.lag), other)
	}
	if s.lag -= time.Since(began); s.found[other] == nil {
		s.others = append(s.others[1:], other)
	}
	return err
}

// awaitRunning waits until frames sent on a device that was made just now go
// somewhere: the kernel takes up to a second to notice a carrier (linkwatch). A bridge
// without ports never runs, and has nobody to ask.
func awaitRunning(ctx context.Context, name string) error {
	patience := time.NewTimer(surveyRunning)
	defer patience.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		dev, err := net.InterfaceByName(name)
		if err != nil || dev.Flags&net.FlagRunning != 0 {
			return err
		}
		ports, err := os.ReadDir("/sys/class/net/" + name + "/brif")
		if err == nil && len(ports) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hear adds to what was found the answers that arrive within d, or until that of a.
func (s *survey) hear(ctx context.Context, d time.Duration, a netip.Addr) error {
	for until := time.Now().Add(d); ctx.Err() == nil; {
		Hear(s.fd, s.found)
		left := time.Until(until)
		if left <= 0 || s.found[a] != nil {
			return nil
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(min(left, surveyPause)/time.Millisecond)+1) //nolint:gosec // a descriptor
	}
	return ctx.Err()
}

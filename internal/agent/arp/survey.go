//go:build linux

package arp

import (
	"context"
	"errors"
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
	surveyPause   = 5 * time.Millisecond    // before the next
	surveyWait    = 300 * time.Millisecond  // for the last answers
	surveyRunning = 1500 * time.Millisecond // for the bridge to run
	surveyHold    = 12 * time.Hour          // what was found is theirs for the time of a lease
)

// Survey asks for every IPv4 address of the ranges on the bridge, in the name of
// own, and returns those in use as leases without a name.
func Survey(ctx context.Context, bridge string, own netip.Addr, ranges []spec.Range) (string, error) {
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
	found := map[netip.Addr]net.HardwareAddr{}
	asked := 0
	for _, r := range ranges {
		for a := r.First; a.Is4() && a.Compare(r.Last) <= 0 && asked < surveyMost; a = a.Next() {
			asked++
			if err := ask(fd, dev, own, a); err != nil {
				return "", fmt.Errorf("look for %s on %s: %w", a, bridge, err)
			}
			if asked%surveyAtOnce != 0 {
				continue
			}
			if err := hearOut(ctx, fd, found, surveyPause); err != nil {
				return "", err
			}
		}
	}
	if err := hearOut(ctx, fd, found, surveyWait); err != nil {
		return "", err
	}
	until := strconv.FormatInt(time.Now().Add(surveyHold).Unix(), 10)
	var b strings.Builder
	for a, mac := range found {
		fmt.Fprintf(&b, "%s %s %s * *\n", until, mac, a)
	}
	return b.String(), nil
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

// hearOut adds to found the answers that arrive within d.
func hearOut(ctx context.Context, fd int, found map[netip.Addr]net.HardwareAddr, d time.Duration) error {
	enough := time.NewTimer(d)
	defer enough.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		Hear(fd, found)
		select {
		case <-tick.C:
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return errors.Join(errors.New("look for containers"), ctx.Err())
		}
	}
}

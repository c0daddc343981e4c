//go:build linux

package rtnl

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestInterruptedDumpsAreRepeated(t *testing.T) {
	calls := 0
	list, err := Dump(func() ([]int, error) {
		calls++
		switch calls {
		case 1:
			return []int{1}, netlink.ErrDumpInterrupted
		case 2:
			return nil, unix.EINTR
		}
		return []int{1, 2}, nil
	})
	if err != nil || len(list) != 2 || calls != 3 {
		t.Fatalf("%v, %v after %d calls", list, err, calls)
	}
	if _, err := Dump(func() ([]int, error) { return nil, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Fatalf("a dump that never ends: %v", err)
	}
}

//go:build linux

package rtnl

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
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

// TestLinksAreWhole: devices that take several datagrams, with and without counters.
func TestLinksAreWhole(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	const devices = 120
	if out, err := exec.Command("sh", "-ec", fmt.Sprintf("for i in $(seq %d); do echo link add d$i type bridge; done | ip -batch -", devices)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, skip := range []int{0, 1 << 3} { // RTEXT_FILTER_SKIP_STATS
		list, err := c.Links(unix.AF_UNSPEC, skip)
		if err != nil {
			t.Fatal(err)
		}
		names, size := map[string]bool{}, 0
		for _, text := range list { // each must hold when the next datagram has come
			l, err := netlink.LinkDeserialize(nil, text)
			if err != nil {
				t.Fatal(err)
			}
			names[l.Attrs().Name] = true
			size += len(text)
		}
		for i := range devices {
			if name := fmt.Sprintf("d%d", i+1); !names[name] {
				t.Errorf("mask %d: %s is missing among %d", skip, name, len(list))
			}
		}
		sizes = append(sizes, size)
	}
	if sizes[0] < 2<<15 || sizes[1] >= sizes[0] {
		t.Errorf("bytes with and without counters: %d", sizes)
	}
	if _, err := c.list(nl.NewNetlinkRequest(unix.RTM_GETQDISC+1000, unix.NLM_F_DUMP)); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a list that the kernel does not have: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestWatchHearsWhatMoves(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	sh := func(script string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	sh("ip link add d0 type bridge")
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	if w.Moved() {
		t.Error("nothing has moved yet")
	}
	for _, c := range []struct {
		script string
		moved  bool
	}{
		{"ip neigh add 10.1.0.9 lladdr 6a:00:00:00:00:09 dev d0", false},
		{"bridge fdb add 6a:00:00:00:00:09 dev d0 self permanent", false},
		{"ip link set d0 up", true}, // and later its carrier's news
		{"ip addr add 10.1.0.1/24 dev d0", true},
		{"ip -6 addr add fd01::1/64 dev d0 nodad", true},
		{"ip route add 10.2.0.0/24 dev d0", true},
		{"ip -6 route add fd02::/64 dev d0", true},
		{"for i in $(seq 2000); do echo route add 10.3.$((i / 250)).$((i % 250))/32 dev d0; done | ip -batch -", true}, // more than a socket holds
		{"ip link del d0", true},
	} {
		sh(c.script)
		if moved := w.Moved(); moved != c.moved {
			t.Errorf("%s: want %v, have %v", c.script, c.moved, moved)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if !w.Moved() {
		t.Error("a watch that hears nothing is no proof of rest")
	}
}

func TestWatchTellsWhatOthersDid(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	if out, err := exec.Command("sh", "-ec", "ip link set lo up").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	own, err := c.PortID()
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	fresh := make(chan struct{}, 1)
	if err := w.Tell(fresh, own); err != nil {
		t.Fatal(err)
	}
	// News come in the order of the changes, so its own are heard when the other's is.
	told := make(chan struct{}, 1)
	all, err := NewWatch()
	if err == nil {
		err = all.Tell(told, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE)
	head := nl.NewRtMsg()
	head.Family, head.Dst_len, head.Scope = unix.AF_INET, 32, unix.RT_SCOPE_LINK
	m.AddData(head)
	m.AddData(nl.NewRtAttr(unix.RTA_DST, []byte{10, 1, 0, 1}))
	m.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(1)))
	if err := c.Do(m); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		t.Fatal("nobody was told")
	}
	for end := time.Now().Add(time.Second); w.pending(t) && time.Now().Before(end); {
		runtime.Gosched()
	}
	if len(fresh) > 0 {
		t.Error("told what it did itself")
	}
	if out, err := exec.Command("ip", "route", "add", "10.1.0.2/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	select {
	case <-fresh:
	case <-time.After(5 * time.Second):
		t.Error("not told what another did")
	}
	if err := errors.Join(w.Close(), all.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

// pending says whether the watch has not read yet what it was sent.
func (w *Watch) pending(t *testing.T) bool {
	t.Helper()
	n, _, err := unix.Recvfrom(w.fd, nil, unix.MSG_DONTWAIT|unix.MSG_TRUNC|unix.MSG_PEEK)
	return err == nil && n > 0
}

//go:build linux

package arp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// segment is a server, 10.1.0.1/16 on its bridge br0, and a machine with MAC 02:00:00:00:00:09
// that is plugged into it by its eth0, and reached.
func segment(t *testing.T, addr string) (server, plugged *netspace.Space) {
	t.Helper()
	server, plugged = netspace.New(t), netspace.New(t)
	server.Sh("ip link add br0 up type bridge forward_delay 0; ip addr add 10.1.0.1/16 dev br0; ip link add v0 master br0 type veth peer name eth0 netns " + plugged.Path())
	server.Sh("ip link set v0 up")
	plugged.Sh("ip link set eth0 up address 02:00:00:00:00:09; ip addr add " + addr + "/16 dev eth0")
	// A port that has just come up forwards nothing yet.
	server.Sh("for i in $(seq 100); do ping -c 1 -W 1 " + addr + " >/dev/null && exit 0; done; exit 1")
	return server, plugged
}

// A survey finds who is there, and leaves room for what the segment carries meanwhile: its
// requests go out a few at a time.
func TestSurveyIsPaced(t *testing.T) {
	server, _ := segment(t, "10.1.1.9")
	first := netip.MustParseAddr("10.1.1.0")
	server.Do(func() {
		began := time.Now()
		found, err := Survey(t.Context(), "br0", netip.MustParseAddr("10.1.0.1"), nil, []spec.Range{{First: first, Last: netip.MustParseAddr("10.1.2.255")}})
		if err != nil || !strings.Contains(found, " 02:00:00:00:00:09 10.1.1.9 * *\n") || strings.Count(found, "\n") != 1 {
			t.Errorf("found %q, %v", found, err)
		}
		if took, least := time.Since(began), 512/surveyAtOnce*surveyPause+surveyWait; took < least {
			t.Errorf("512 addresses in %s, want no less than %s", took, least)
		}
	})
}

// A segment that is slow, as a tunnel whose process is given no time, is asked no faster than
// it answers: TUN devices drop what their queue of 500 packets cannot hold. Who does not answer
// holds up nobody for long.
func TestSurveyWaitsForTheSegment(t *testing.T) {
	server, slow := segment(t, "10.1.0.2")
	slow.Sh("ip link set eth0 arp off")
	other, dead := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.3")
	answered, done := make(chan int), make(chan struct{})
	slow.Do(func() {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		fd, err := Open(dev)
		if err != nil {
			t.Error(err)
			return
		}
		go func() { answered <- answerSlowly(t, fd, dev, other, done) }()
	})
	server.Do(func() {
		first, last := netip.MustParseAddr("10.1.1.0"), netip.MustParseAddr("10.1.1.255")
		found, err := Survey(t.Context(), "br0", netip.MustParseAddr("10.1.0.1"), []netip.Addr{dead, other}, []spec.Range{{First: first, Last: last}})
		if err != nil || found != "" {
			t.Errorf("found %q, %v", found, err)
		}
	})
	close(done)
	if n := <-answered; n < 3 {
		t.Errorf("the other server was asked %d times, want about 30, at least 3", n)
	}
}

// answerSlowly answers requests for own until done, each after a while in which no more than
// the few of one turn may come in. It counts its answers.
func answerSlowly(t *testing.T, fd int, dev *net.Interface, own netip.Addr, done chan struct{}) (answers int) {
	defer unix.Close(fd)
	m := make([]byte, 64)
	for turn := 0; ; {
		select {
		case <-done:
			return answers
		default:
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10)
		n, _, err := unix.Recvfrom(fd, m, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		if a, _ := netip.AddrFromSlice(m[24:28]); n < 28 || m[7] != 1 || a != own {
			if turn++; answers > 0 && answers <= 3 && turn > surveyAtOnce { // later the time to wait may be over
				t.Errorf("%d requests without an answer, want at most %d", turn, surveyAtOnce)
			}
			continue
		}
		<-time.After(5 * time.Millisecond)
		reply := Request(dev, own, netip.AddrFrom4([4]byte(m[14:18])))
		reply[7] = 2
		if err := unix.Sendto(fd, reply, 0, Broadcast(dev.Index)); err != nil {
			t.Error(err)
		}
		answers, turn = answers+1, 0
	}
}

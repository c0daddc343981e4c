//go:build linux

package agent

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestDNSIsClosedFromOutside(t *testing.T) {
	o := settledOverlay(t, nil)
	s, outside := o.servers[0], o.fabric
	outside.sh("ip route add 10.0.4.0/24 via 10.99.0.1; ip route add fd00:4::/64 via fd99::1")
	s.answer("10.0.4.254", "10.0.4.1", "fd00:4::254", "10.99.0.1")
	for _, network := range []string{"tcp", "udp"} {
		for _, server := range []string{"10.0.4.254", "10.0.4.1", "fd00:4::254"} {
			if err := outside.ask(network, server); err == nil {
				t.Errorf("%s port 53 of %s answers the underlay", network, server)
			}
			for name, from := range map[string]*nftHost{"container": o.containers[0], "the server itself": s} {
				if err := from.ask(network, server); err != nil {
					t.Errorf("%s port 53 of %s from %s: %v", network, server, name, err)
				}
			}
		}
		// Somebody else's address is none of ours.
		if err := outside.ask(network, "10.99.0.1"); err != nil {
			t.Errorf("%s port 53 of the server's own address: %v", network, err)
		}
	}
}

// answer gives one byte for every question on port 53 of addrs, TCP and UDP, as
// dnsmasq does on the addresses it is bound to.
func (h *nftHost) answer(addrs ...string) {
	h.t.Helper()
	for _, a := range addrs {
		var tcp net.Listener
		var udp net.PacketConn
		var err1, err2 error
		h.do(func() {
			tcp, err1 = net.Listen("tcp", net.JoinHostPort(a, "53"))
			udp, err2 = net.ListenPacket("udp", net.JoinHostPort(a, "53"))
		})
		if err := errors.Join(err1, err2); err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() {
			if err := errors.Join(tcp.Close(), udp.Close()); err != nil {
				h.t.Error(err)
			}
		})
		go func() {
			for c, err := tcp.Accept(); err == nil; c, err = tcp.Accept() {
				_, err1 := c.Write([]byte("x"))
				if err := errors.Join(err1, c.Close()); err != nil {
					h.t.Logf("answer over TCP: %v", err)
				}
			}
		}()
		go func() {
			buf := make([]byte, 1)
			for _, from, err := udp.ReadFrom(buf); err == nil; _, from, err = udp.ReadFrom(buf) {
				if _, err := udp.WriteTo(buf, from); err != nil {
					h.t.Logf("answer over UDP: %v", err)
				}
			}
		}()
	}
}

// ask says whether port 53 of server answers within 300 ms.
func (h *nftHost) ask(network, server string) error {
	var err error
	h.do(func() {
		var c net.Conn
		if c, err = (&net.Dialer{Timeout: 300 * time.Millisecond}).Dial(network, net.JoinHostPort(server, "53")); err != nil {
			return
		}
		defer c.Close()
		if err = c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return
		}
		if network == "udp" {
			_, err = c.Write([]byte("q"))
		}
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	})
	return err
}

func TestReplacingLosesNoPacket(t *testing.T) {
	o := settledOverlay(t, nil)
	s, c, want := o.servers[0], o.containers[0], overlayHost(0)
	for _, target := range []string{"10.99.0.254", "10.0.4.3", "10.0.4.1", "fd99::254"} {
		c.reaches(target)
		done := make(chan string)
		go func() {
			out, err := c.try("ping -n -q -c100 -i0.01 -W1 " + target)
			if err == nil && strings.Contains(out, " 0% packet loss") {
				out = ""
			}
			done <- out
		}()
		replaced := 0
		for running := true; running; {
			select {
			case out := <-done:
				if running = false; out != "" {
					t.Errorf("%s: %s", target, out)
				}
			default:
				s.sh("nft add chain bridge flock-c1 x; nft add chain inet flock-c1 x") // both tables are made anew
				settleNFT(s, want)
				replaced++
			}
		}
		if replaced < 5 {
			t.Errorf("%s: replaced %d times during the ping", target, replaced)
		}
	}
}

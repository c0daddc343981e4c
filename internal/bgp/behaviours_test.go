//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/seed"
)

// behaviour is what a hostile neighbour does over every connection that it gets.
type behaviour struct {
	name string
	act  func(c net.Conn, local netip.Addr) error
	says string // by showbgp, among what else; standing: nothing, the session is up
}

const standing = ""

// behaviours are all of them.
func behaviours() []behaviour {
	return slices.Concat(openings(), strangers(), attributeFaults(), soundOddities(), habits())
}

// first sends b in place of an OPEN.
func first(b []byte) func(net.Conn, netip.Addr) error {
	return func(c net.Conn, _ netip.Addr) error {
		_, _ = c.Write(b)
		return drain(c)
	}
}

// after sends messages once the session stands.
func after(messages ...[]byte) func(net.Conn, netip.Addr) error { return afterOpen(true, messages...) }

// afterOld does so where AS numbers have two octets.
func afterOld(messages ...[]byte) func(net.Conn, netip.Addr) error {
	return afterOpen(false, messages...)
}

func afterOpen(four bool, messages ...[]byte) func(net.Conn, netip.Addr) error {
	return func(c net.Conn, local netip.Addr) error {
		if err := enter(c, local, four); err != nil {
			return err
		}
		for _, m := range messages {
			if _, err := c.Write(m); err != nil {
				return err
			}
		}
		return drain(c)
	}
}

// enter brings a session up.
func enter(c net.Conn, local netip.Addr, four bool) error {
	open, err := openOf(local, 65001, four)
	if err != nil {
		return err
	}
	return greet(c, open)
}

// drain reads, and says that it lives, until it is thrown out or out of time.
func drain(c net.Conn) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = c.Write(frame(bgp.BGP_MSG_KEEPALIVE))
			case <-done:
				return
			}
		}
	}()
	for {
		if err := read(c); err != nil {
			return err
		}
	}
}

// openings are wrong, or odd, from the first message on.
func openings() []behaviour {
	raw := func(version byte, as, hold uint16, id byte, parameters ...byte) []byte {
		return frame(bgp.BGP_MSG_OPEN, append([]byte{version, byte(as >> 8), byte(as), byte(hold >> 8), byte(hold), id, id, id, id, byte(len(parameters))}, parameters...)...)
	}
	return []behaviour{
		{"HTTP", first([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), "marker is not all ones"},
		{"a length of three", first(append(slices.Repeat([]byte{0xff}, 16), 0, 3, 1)), "bad message length"},
		{"a length of 65535", first(append(slices.Repeat([]byte{0xff}, 16), 0xff, 0xff, 1)), "too large BGP message"},
		{"a marker of zeros", first(slices.Concat(make([]byte, 16), []byte{0, 19, 4})), "marker is not all ones"},
		{"an OPEN that is cut", first(frame(1, 4, 0xfd)), "Not all BGP Open message bytes"},
		{"a capability that is cut", first(frame(1, 4, 0xfd, 0xe9, 0, 9, 9, 9, 9, 9, 255, 2, 253, 65, 200)), "bad message length"},
		{"an UPDATE before OPEN", first(update(attributes, announcement)), "unexpected message in opensent"},
		{"a KEEPALIVE before OPEN", first(frame(4)), "unexpected message in opensent"},
		{"a NOTIFICATION before OPEN", first(frame(3, 6, 2)), "it ended the session: Administrative Shutdown"},
		{"a refusal before OPEN", first(frame(3, 2, 2)), "it ended the session: Bad Peer AS: it expects another AS"},
		{"a refresh before OPEN", first(frame(5, 0, 1, 0, 1)), "unexpected message in opensent"},
		{"version 3", first(raw(3, 65001, 90, 9)), "unsupported version number"},
		{"another AS", first(raw(4, 65077, 90, 9)), "it says AS 65077, and AS 65001 is expected of it"},
		{"AS 0", first(raw(4, 0, 90, 9)), "says another AS than 65001"},
		{"a hold time of 1 s", first(raw(4, 65001, 1, 9)), "unacceptable hold time"},
		{"a router id of zeros", first(raw(4, 65001, 90, 0)), "Bad BGP Identifier"},
		{"authentication", first(raw(4, 65001, 90, 9, 1, 2, 3, 4)), standing},
		{"a parameter that there is not", first(raw(4, 65001, 90, 9, 77, 2, 3, 4)), standing},
		{"a parameter that is cut", first(raw(4, 65001, 90, 9, 2, 200, 1)), "Malformed BGP Open"},
		{"mute", drained(), "nothing takes BGP connections there"},
		{"half a header", first(slices.Repeat([]byte{0xff}, 10)), "bad message length"},
	}
}

func drained() func(net.Conn, netip.Addr) error {
	return func(c net.Conn, _ netip.Addr) error { return read(c) }
}

// strangers are messages of kinds, families and capabilities that there are not.
func strangers() []behaviour {
	family := []byte{0x77, 0x77, 0, 9}
	return []behaviour{
		{"a kind of message that there is not", after(frame(99, 1, 2, 3)), "unknown message type"},
		{"a kind of message 0", after(frame(0)), "unknown message type"},
		{"a KEEPALIVE with content", after(frame(4, 1)), standing},
		{"a second OPEN", after(frame(1, 4, 0xfd, 0xe9, 0, 90, 9, 9, 9, 9, 0)), standing},
		{"a refresh of a family that there is not", after(frame(5, family...)), standing},
		{"a refresh that is cut", after(frame(5, 0, 1)), "Not all RouteRefresh bytes"},
		{"a NOTIFICATION that is cut", after(frame(3, 6)), "Not all Notification bytes"},
		{"a NOTIFICATION of a kind that there is not", after(frame(3, 99, 99)), "it ended the session: code 99"},
		{"a NOTIFICATION that calls our OPEN unexpected", after(frame(3, 5, 1)), "it ended the session: code 5(fsm) subcode 1"},
		{"routes of a family that there is not", after(update([]byte{0x90, 14, 0, 5, 0x77, 0x77, 9, 0, 0}, nil)), "nexthop length is zero"},
		{"routes of EVPN", after(update(slices.Concat(joined(known(true)[:2]), []byte{0x80, 14, 9, 0, 25, 70, 4, 10, 99, 0, 9, 0}), nil)), "l2vpn-evpn not available for this session"},
		{"routes of FlowSpec", after(update(slices.Concat(joined(known(true)[:2]), []byte{0x80, 14, 5, 0, 1, 133, 0, 0}), nil)), "ipv4-flowspec not available for this session"},
		{"capabilities that there are not", first(slices.Concat(opens()["a flood of families"], frame(4))), standing},
		{"no capabilities", first(slices.Concat(opens()["none"], frame(4))), standing},
	}
}

// attributeFaults are UPDATEs that no RFC permits; where they say standing the route is
// taken for withdrawn (RFC 7606).
func attributeFaults() []behaviour {
	with := func(more ...byte) []byte { return update(append(slices.Clone(attributes), more...), announcement) }
	disordered := []attribute{{0x40, 1, []byte{0}}, {0x40, 3, []byte{10, 99, 0, 9}}, {0xc0, 17, []byte{2, 1, 0, 1, 0, 1}}, {0x40, 2, nil}}
	return []behaviour{
		{"attributes that are cut", after(frame(2, 0, 0, 0, 200, 0x40, 1, 1, 0)), "exceeds message length"},
		{"withdrawals that are cut", after(frame(2, 0, 200, 24, 10)), "withdrawn route length exceeds"},
		{"an empty UPDATE of one octet", after(frame(2, 0)), "malformed attribute list"},
		{"a prefix of 77 bits", after(update(attributes, []byte{77, 1, 2, 3})), "network bytes is short"},
		{"a next hop of three octets", after(update([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 3, 10, 99, 0}, announcement)), standing},
		{"an origin of nine", after(update(slices.Concat([]byte{0x40, 1, 1, 9}, attributes[4:]), announcement)), standing},
		{"no attributes", after(update(nil, announcement)), standing},
		{"an AS path that overruns", after(update([]byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 200, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 10, 99, 0, 9}, announcement)), standing},
		{"all attributes twice", after(update(append(slices.Clone(attributes), attributes...), announcement)), standing},
		{"a next hop of 200 octets", after(update([]byte{0x90, 14, 0, 9, 0, 2, 1, 200, 1, 2, 3, 4, 5}, nil)), "nexthop length is short"},
		{"a next hop of none", after(update(slices.Concat(joined(known(true)[:2]), []byte{0x80, 14, 9, 0, 2, 1, 0, 0, 24, 0xfd, 0, 0}), nil)), "nexthop length is zero"},
		{"a withdrawal of 250 bits", after(update([]byte{0x90, 15, 0, 4, 0, 2, 1, 250}, nil)), "network bytes is short"},
		{"three octets of communities", after(with(0xc0, 8, 3, 1, 2, 3)), standing},
		{"seven octets of large communities", after(with(0xc0, 32, 7, 1, 2, 3, 4, 5, 6, 7)), standing},
		{"a tunnel that is cut", after(with(0xc0, 23, 5, 0, 8, 0, 200, 1)), standing},
		{"a link state that is cut", after(with(0x80, 29, 6, 4, 2, 0, 200, 1, 1)), standing},
		{"a Prefix-SID that is cut", after(with(0xc0, 40, 4, 5, 0, 1, 0)), standing},
		{"a Prefix-SID that overruns", after(with(0xc0, 40, 5, 5, 0, 200, 0, 1)), standing},
		{"an unknown well-known attribute", after(with(0x40, 99, 1, 1)), "unrecognized well-known attribute"},
		{"AS4_PATH before AS_PATH", afterOld(update(joined(disordered), announcement)), standing},
		{"an empty AS4_PATH", afterOld(update(joined([]attribute{{0x40, 1, []byte{0}}, {0x40, 2, nil}, {0x40, 3, []byte{10, 99, 0, 9}}, {0xc0, 17, nil}}), announcement)), standing},
		{"an AS path of four octets to one of two", afterOld(update(attributes, announcement)), standing},
	}
}

// soundOddities are rare, and no reason to end a session.
func soundOddities() []behaviour {
	loop := slices.Clone(attributes)
	loop[11], loop[12] = 64512>>8, 64512&255
	return []behaviour{
		{"addresses that are nobody's", after(update(attributes, []byte{8, 127, 16, 169, 254, 4, 224, 0, 32, 10, 99, 0, 2, 32, 10, 99, 0, 1})), standing},
		{"the victim for a next hop", after(update(slices.Concat(attributes[:len(attributes)-1], []byte{1}), announcement)), standing},
		{"our AS in the path", after(update(loop, announcement)), standing},
		{"a prefix five hundred times", after(update(attributes, slices.Repeat(announcement, 500))), standing},
		{"withdrawals of what was never told", after(frame(2, 0, 4, 24, 172, 29, 0, 0, 0)), standing},
		{"a thousand refreshes", after(slices.Repeat(frame(5, 0, 1, 0, 1), 1000)), standing},
		{"a thousand ends of RIB", after(slices.Repeat(frame(2, 0, 0, 0, 0), 1000)), standing},
		{"an attribute of 4000 octets", after(update(append(slices.Clone(attributes), append([]byte{0xd0, 99, 0x0f, 0xa0}, make([]byte, 4000)...)...), announcement)), standing},
		{"a message of 60,000 octets", after(update(append(slices.Clone(attributes), append([]byte{0xd0, 99, 0xea, 0x60}, make([]byte, 60_000)...)...), announcement)), standing},
		{"two octets for an AS", afterOld(update([]byte{0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfd, 0xe9, 0x40, 3, 4, 10, 99, 0, 9}, announcement)), standing},
	}
}

// habits are what only time shows.
func habits() []behaviour {
	return []behaviour{
		{"flood", floods, "it announced more than 1000 prefixes"},
		{"flap", func(c net.Conn, local netip.Addr) error { return enter(c, local, true) }, "closed without a word"},
		{"reset", func(c net.Conn, local netip.Addr) error {
			err := enter(c, local, true)
			return errors.Join(err, c.(*net.TCPConn).SetLinger(0))
		}, "closed without a word"},
		{"silent", func(c net.Conn, local netip.Addr) error {
			if err := enter(c, local, true); err != nil {
				return err
			}
			for {
				if err := read(c); err != nil {
					return err
				}
			}
		}, "Hold Timer Expired"},
		{"flapping routes", func(c net.Conn, local netip.Addr) error {
			if err := enter(c, local, true); err != nil {
				return err
			}
			on, off := update(attributes, announcement), frame(2, 0, 4, 24, 172, 20, 0, 0, 0)
			for range 2000 {
				if _, err := c.Write(slices.Concat(on, off)); err != nil {
					return err
				}
			}
			return drain(c)
		}, standing},
		{"one octet at a time", func(c net.Conn, local netip.Addr) error {
			if err := enter(c, local, true); err != nil {
				return err
			}
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for _, b := range update(attributes, announcement) {
				<-tick.C
				if _, err := c.Write([]byte{b}); err != nil {
					return err
				}
			}
			return drain(c)
		}, standing},
		{"noise", func(c net.Conn, local netip.Addr) error {
			if err := enter(c, local, true); err != nil {
				return err
			}
			_, _ = c.Write(seed.Bytes(seed.Fixed(), 10_000))
			return drain(c)
		}, "marker is not all ones"},
		{"thirty connections", func(c net.Conn, local netip.Addr) error {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
			for range 30 {
				if more, err := d.Dial("tcp", c.RemoteAddr().String()); err == nil {
					defer more.Close()
				}
			}
			if err := enter(c, local, true); err != nil {
				return err
			}
			return drain(c)
		}, standing},
	}
}

// floods announces 100,000 prefixes as fast as it goes.
func floods(c net.Conn, local netip.Addr) error {
	if err := enter(c, local, true); err != nil {
		return err
	}
	for i := 0; i < 100_000; {
		var list []byte
		for range 500 {
			list = append(list, 32, 172, byte(16+i>>16), byte(i>>8), byte(i))
			i++
		}
		if _, err := c.Write(update(attributes, list)); err != nil {
			return err
		}
	}
	return drain(c)
}

// attack is the attacker's process: everybody of behaviours does it over and over, from
// the addresses after the first.
func attack(first netip.Addr, remote string) {
	local := first
	for _, b := range behaviours() {
		from := local
		go func() {
			for {
				if err := attackOnce(b, from, remote); err != nil {
					fmt.Println(b.name, err)
				}
				<-time.After(50 * time.Millisecond)
			}
		}()
		local = local.Next()
	}
	select {}
}

func attackOnce(b behaviour, local netip.Addr, remote string) error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
	c, err := d.Dial("tcp", net.JoinHostPort(remote, "179"))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	return b.act(c, local)
}

//go:build linux

package agent

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// hold opens a socket on a machine, network and address as net.Listen has them, until
// the test ends.
func (m *machine) hold(network, address string) {
	m.t.Helper()
	m.inside(func() error {
		var held io.Closer
		var err error
		if strings.HasPrefix(network, "tcp") {
			held, err = net.Listen(network, address)
		} else {
			held, err = net.ListenPacket(network, address)
		}
		if err == nil {
			m.t.Cleanup(func() { _ = held.Close() })
		}
		return err
	})
}

// files are the files of a machine that a plan could touch, with what is in them and
// when they were changed.
func (m *machine) files() string {
	m.t.Helper()
	return m.sh(`find /run /var/lib /usr/local/lib /etc/systemd /etc/NetworkManager /dev/net -xdev ! -path /run \
		-printf '%p %y %m %s %T@ %C@\n' 2>/dev/null | sort; cat /proc/modules | cut -d' ' -f1 | sort`)
}

// Each of the things that an apply needs is taken away, one by one: the plan says so,
// and nothing is touched by it.
func TestPlanMissesNothingThatApplyNeeds(t *testing.T) {
	lab.Need(t, "ip", "nft", "dnsmasq", "unshare", "nsenter")
	for _, c := range []struct {
		name string
		hold []string // networks and addresses of somebody else's sockets
		sh   string   // what else is done to the machine
		want func() *spec.Host
		what string // the one problem; "": none
		next string // in its advice
	}{
		{name: "all is there"},
		{
			name: "DNS by UDP", hold: []string{"udp4", "0.0.0.0:53"},
			what: "UDP port 53 of 10.0.4.254 is in use by agent.test (process ", next: "stop agent.test, or have it listen on addresses of its own only",
		},
		{name: "DNS by TCP", hold: []string{"tcp4", "0.0.0.0:53"}, what: "TCP port 53 of 10.0.4.254 is in use by agent.test (process ", next: "stop agent.test"},
		{name: "DNS of both families", hold: []string{"tcp", "[::]:53"}, what: "TCP port 53 of 10.0.4.254 is in use by agent.test (process ", next: "stop agent.test"},
		{name: "DNS on other addresses", hold: []string{"udp4", "127.0.0.53:53", "tcp4", "10.99.0.1:53"}},
		{name: "DHCP", hold: []string{"udp4", "0.0.0.0:67"}, what: "UDP port 67 is in use by agent.test (process ", next: "stop agent.test"},
		{name: "VXLAN", hold: []string{"udp4", "10.99.0.1:4789"}, what: "UDP port 4789 is in use by agent.test (process ", next: "choose another port (-p), or stop agent.test"},
		{name: "VXLAN, another family", hold: []string{"udp6", "[::]:4789"}},
		{
			name: "BGP", hold: []string{"tcp4", "10.99.0.1:179"},
			want: func() *spec.Host {
				h := emptyHost()
				h.Claims = []spec.Claim{{Network: "b", TCPPort: spec.BGPPort}}
				return h
			},
			what: "TCP port 179 is in use by agent.test (process ", next: "stop agent.test: two BGP daemons cannot share a server",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			for i := 0; i < len(c.hold); i += 2 {
				m.hold(c.hold[i], c.hold[i+1])
			}
			m.sh(c.sh)
			want := testHost(1450)
			if c.want != nil {
				want = c.want()
			}
			files, traces := m.files(), m.traces()
			s := m.call()
			reply := s.must(spec.Request{Op: spec.OpPlan, Want: want})
			s.hangUp()
			if list := reply.Plan.Problems; c.what == "" && len(list) > 0 {
				t.Errorf("problems: %v", list)
			} else if c.what != "" && (len(list) != 1 || !strings.HasPrefix(list[0].What, c.what) || !strings.Contains(list[0].Next, c.next)) {
				t.Errorf("want %q and the advice %q, have %+v", c.what, c.next, list)
			}
			if after := m.files(); after != files {
				t.Errorf("a plan changes files: want\n%s\nhave\n%s", files, after)
			}
			if after := m.traces(); after != traces {
				t.Errorf("a plan changes the server: want\n%s\nhave\n%s", traces, after)
			}
		})
	}
}

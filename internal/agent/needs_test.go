//go:build linux

package agent

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// hold opens a socket on a machine, network and address as net.Listen has them, until
// the test ends.
func (m *machine) hold(network, address string) (release func()) {
	m.t.Helper()
	var held io.Closer
	m.inside(func() error {
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
	return func() { _ = held.Close() }
}

// files are the files of a machine that a plan could touch, with what is in them and
// when they were changed.
func (m *machine) files() string {
	m.t.Helper()
	return m.sh(`find /run /var/lib /usr/local/lib /etc/systemd /etc/NetworkManager /dev/net ! -path /run ! -path /run/flock ! -path /run/flock/lock \
		-printf '%p %y %m %s %T@ %C@\n' 2>/dev/null | sort; cat /proc/modules 2>/dev/null | cut -d' ' -f1 | sort`)
}

// readOnly is a script's end that makes a directory read-only.
func readOnly(dir string) string {
	return "; mount --bind " + dir + " " + dir + "; mount -o remount,bind,ro " + dir
}

func withoutDHCP() *spec.Host {
	h := testHost(1450)
	h.DHCPs = nil
	return h
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
		{
			name: "DHCPv6", hold: []string{"udp6", "[::]:547"}, want: func() *spec.Host {
				h := testHost(1450)
				h.DHCPs[0].Ranges = append(h.DHCPs[0].Ranges, spec.Range{First: addr("fd00:4::2"), Last: addr("fd00:4::f"), Subnet: prefix("fd00:4::/64")})
				return h
			},
			what: "UDP port 547 is in use by agent.test (process ", next: "stop agent.test",
		},
		{
			name: "a port of UDP networks", hold: []string{"udp4", "10.99.0.1:8285"}, want: func() *spec.Host { return udpHost(0) },
			what: "UDP port 8285 of 10.99.0.1 is in use by agent.test (process ", next: "flock setnetwork u1 -p PORT, or stop agent.test",
		},
		{
			name: "the configuration of an LXC container", sh: "mkdir -p /var/lib/lxc/c1; echo lxc.uts.name = c1 >/var/lib/lxc/c1/config" + readOnly("/var/lib/lxc/c1"),
			want: func() *spec.Host {
				h := testHost(1450)
				h.Attached = []spec.Attachment{{Container: "lxc/c1", Interface: "eth1", Host: "flk-c1", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:00:00:00:01"}}
				return h
			},
			what: "no files can be made in /var/lib/lxc/c1: read-only file system", next: "mount -o remount,rw /var/lib/lxc/c1",
		},
		{name: "VXLAN", hold: []string{"udp4", "10.99.0.1:4789"}, what: "UDP port 4789 is in use by agent.test (process ", next: "flock setnetwork vx1 -p PORT, or stop agent.test"},
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
		{name: "a foreign VXLAN in external mode", sh: "ip link add far type vxlan dstport 4789 external", what: "link vxl0-vx of network vx1: UDP port 4789 belongs to the link far", next: "ip link delete far"},
		{name: "a name of ours", sh: "ip link add vxl0 type bridge", what: "link vxl0 of network vx1: there is one already (bridge)", next: "ip link delete vxl0"},
		{name: "the subnet", sh: "ip route add 10.0.0.0/16 via 10.99.0.9", what: "10.0.4.0/24 overlaps the route 10.0.0.0/16", next: "flock setnetwork vx1 -s 10.20.4.0/24"},
		{name: "room", sh: "mkdir /var/lib/flock; mount -t tmpfs -o size=64k none /var/lib/flock", what: "no room in /var/lib/flock: 64 KiB are free", next: "df -h /var/lib/flock"},
		{name: "inodes", sh: "mkdir /var/lib/flock; mount -t tmpfs -o nr_inodes=4 none /var/lib/flock", what: "no room in /var/lib/flock: 3 more files", next: "df -i /var/lib/flock"},
		{
			name: "a disk that is written to", sh: "mkdir /var/lib/flock; mount -t tmpfs -o ro none /var/lib/flock",
			what: "no files can be made in /var/lib/flock: read-only file system", next: "mount -o remount,rw /var/lib/flock",
		},
		{name: "a directory", sh: "echo >/var/lib/flock", what: "/var/lib/flock is no directory", next: "mv /var/lib/flock"},
		{name: "a directory on the way", sh: "mkdir /var/lib/flock; echo >/var/lib/flock/test", what: "/var/lib/flock/test is no directory", next: "mv /var/lib/flock/test"},
		{name: "/run", sh: "mount -o remount,ro /run", what: "take the server's lock: make directory: mkdir /run/flock: read-only file system", next: "mount -o remount,rw /run"},
		{name: "room in /run", sh: "mount -o remount,size=64k /run", what: "no room in /run/flock: ", next: "df -h /run"},
		{
			name: "the directory of units", sh: "mkdir -p /run/systemd/system" + readOnly("/etc/systemd/system"), want: withoutDHCP,
			what: "no files can be made in /etc/systemd/system: read-only file system", next: "mount -o remount,rw /etc/systemd/system",
		},
		{name: "systemd", sh: "mkdir -p /run/systemd/system", what: "systemd does not answer: ", next: "systemctl"},
		{name: "systemd, where no unit is made", sh: "mkdir -p /run/systemd/system", want: withoutDHCP},
		{name: "dnsmasq", sh: "mount --bind /dev/null $(command -v dnsmasq)", what: "dnsmasq is not installed", next: "apt-get install dnsmasq-base"},
		{
			name: "a dnsmasq that can do it", sh: `printf '#!/bin/sh\necho "dnsmasq: bad option at line 7 of -" >&2; exit 1\n' >/run/old; chmod 755 /run/old; mount --bind /run/old $(command -v dnsmasq)`,
			what: "DHCP of vx1: dnsmasq refuses its configuration: bad option at line 7", next: "dnsmasq --version",
		},
		{
			name: "settings", sh: "true" + readOnly("/proc/sys"),
			what: "the setting net.ipv4.ip_forward cannot be written: read-only file system", next: "mount -o remount,rw /proc/sys",
		},
		{name: "TUN devices", sh: "mount -t tmpfs none /dev/net", want: func() *spec.Host { return udpHost(0) }, what: "the kernel has no TUN devices", next: "modprobe tun"},
		{
			name: "TUN devices that may be opened", sh: "mount -t tmpfs -o nodev none /dev/net; mknod /dev/net/tun c 10 200", want: func() *spec.Host { return udpHost(0) },
			what: "/dev/net/tun cannot be opened: permission denied", next: "passed on from its host",
		},
		{
			name: "subnet.env", sh: "mkdir -p /run/flock/n1; echo other >/run/flock/n1/subnet.env",
			want: func() *spec.Host {
				h := emptyHost()
				h.Envs = []spec.SubnetEnv{{Network: "n1", MTU: 1400}}
				return h
			},
			what: "/run/flock/n1/subnet.env is there already", next: "flock setnetwork n1 --rename NAME",
		},
		{
			name: "a resolver", sh: "echo nameserver 127.0.0.1 >/run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf",
			want: func() *spec.Host {
				h := emptyHost()
				key := strings.Repeat("A", 43) + "="
				h.Links = []spec.Link{{Name: "wg-w", Network: "w", Kind: spec.WireGuard, MTU: 1400, Key: key, Port: 51820}}
				h.Peers = []spec.Peer{{Link: "wg-w", Key: key, Endpoint: "s2.flock.invalid:51820", Allowed: []netip.Prefix{prefix("10.9.0.2/32")}}}
				return h
			},
			what: "resolve endpoint s2.flock.invalid:51820", next: "address",
		},
		{
			name: "a password",
			want: func() *spec.Host {
				h := emptyHost()
				h.BGP = &spec.BGP{Network: "b", AS: 65000, Neighbors: []spec.BGPNeighbor{{Addr: addr("10.99.0.2"), AS: 65001, Secret: "0123"}}}
				return h
			},
			what: "the password of BGP neighbor 10.99.0.2 is not on the server", next: "--password-file",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			for i := 0; i < len(c.hold); i += 2 {
				m.hold(c.hold[i], c.hold[i+1])
			}
			m.sh(c.sh + "\ntest ! -e /var/lib/flock || { mkdir -p /run/flock; touch /run/flock/lock; }") // which stays where something is
			want := testHost(1450)
			want.Claims = append(want.Claims, spec.Claim{Network: "vx1", Program: "dnsmasq", Package: "dnsmasq-base"})
			if c.want != nil {
				want = c.want()
			}
			files, traces := m.files(), m.traces()
			s := m.call()
			reply := s.ask(spec.Request{Op: spec.OpPlan, Want: want})
			s.hangUp()
			var list []spec.Problem
			if reply.Plan != nil {
				list = reply.Plan.Problems
			} else if reply.Error != nil {
				list = append(list, *reply.Error)
			}
			if c.what == "" && len(list) > 0 {
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

// A daemon's unit whose program cannot be started any more is a step of the plan, which leaves it
// as it is, and the apply's work: it was swept, its place takes no programs any more, or another
// place has the agent.
func TestPlanRepairsNoUnits(t *testing.T) {
	lab.Need(t, "ip", "nft", "unshare", "nsenter")
	m := newMachine(t)
	const unit = "/etc/systemd/system/flock-test-resolve.service"
	m.sh(`printf '#!/bin/sh\n' >/run/systemctl; chmod 755 /run/systemctl; mount --bind /run/systemctl $(command -v systemctl)
		mount -t tmpfs none /etc/systemd/system; mkdir -p /run/systemd/system
		mkdir -p /run/noexec/0 /run/exec/0; mount -t tmpfs -o noexec none /run/noexec/0; mount -t tmpfs none /run/exec/0
		for d in noexec exec; do printf '#!/bin/sh\n' >/run/$d/0/flock; chmod 755 /run/$d/0/flock; done`)
	for program, why := range map[string]string{
		"/usr/local/lib/flock/gone/flock": "its program is gone", "/run/noexec/0/flock": "its program may not run", "/run/exec/0/flock": "its program is in another place",
	} {
		m.sh("printf '# flock: test\n[Service]\nExecStart=" + program + " agent resolve test\n' >" + unit)
		want := withoutDHCP()
		files := m.files()
		c := m.call()
		step := "~ unit flock-test-resolve.service: " + why
		if steps := stepText(c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan.Steps); !strings.Contains(steps, step) {
			t.Errorf("want %q in\n%s", step, steps)
		}
		if after := m.files(); !strings.Contains(after, unit) || after != files {
			t.Errorf("want\n%s\nhave\n%s", files, after)
		}
		if steps := stepText(c.must(spec.Request{Op: spec.OpApply, Want: want}).Report.Steps); !strings.Contains(steps, step) {
			t.Errorf("want %q in\n%s", step, steps)
		}
		c.must(spec.Request{Op: spec.OpConfirm})
		c.hangUp()
		if text := m.sh("grep Exec " + unit + " || true"); strings.Contains(text, program) {
			t.Errorf("the unit is as it was: %s", text)
		}
	}
}

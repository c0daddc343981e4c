package sysctl

import (
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/agent/nft"
)

func TestKeptFor(t *testing.T) {
	docker := Bridge{Name: "docker0", Ports: 1, Four: true}
	for _, c := range []struct {
		name string
		s    Others
		want [2]string // of IPv4's and of IPv6's forwarding
	}{
		{"nobody", Others{}, [2]string{}},
		{"containers", Others{Bridges: []Bridge{docker}}, [2]string{"docker0", ""}},
		{"both families", Others{Bridges: []Bridge{{Name: "cni0", Ports: 2, Four: true, Six: true}}}, [2]string{"cni0", "cni0"}},
		{"no ports", Others{Bridges: []Bridge{{Name: "docker0", Four: true, Six: true}}}, [2]string{}},
		{"no address", Others{Bridges: []Bridge{{Name: "br1", Ports: 3}}}, [2]string{}},
		{"an uplink", Others{Bridges: []Bridge{{Name: "br0", Ports: 3, Four: true, Six: true, Leads: true}}}, [2]string{}},
		{"rules", Others{Rules: []nft.OtherRules{{What: "masquerade in ip nat post", Four: true, Six: false}}}, [2]string{"masquerade in ip nat post", ""}},
		{"rules of IPv6", Others{Rules: []nft.OtherRules{{What: "masquerade in ip6 nat post", Four: false, Six: true}}}, [2]string{"", "masquerade in ip6 nat post"}},
		{"a tunnel", Others{Tunnels: []string{"wg0"}}, [2]string{"wg0", "wg0"}},
		{"a daemon", Others{Daemons: []string{"dockerd", "libvirtd"}}, [2]string{"dockerd", "dockerd"}},
		{"a file", Others{Files: map[string]Setting{ForwardingIPv4: {"1", "/etc/sysctl.d/r.conf"}}}, [2]string{"/etc/sysctl.d/r.conf", ""}},
		{"a file that says no", Others{Files: map[string]Setting{ForwardingIPv4: {"0", "/etc/sysctl.d/r.conf"}}}, [2]string{}},
		{"a pattern", Others{Files: map[string]Setting{"net/ipv6/conf/*/forwarding": {"1", "/x"}}}, [2]string{"", "/x"}},
	} {
		if have := [2]string{c.s.KeptFor(ForwardingIPv4, "1"), c.s.KeptFor(ForwardingIPv6, "1")}; have != c.want {
			t.Errorf("%s: want %q, have %q", c.name, c.want, have)
		}
	}
	ra := "net/ipv6/conf/eth0/accept_ra"
	if have := (&Others{Daemons: []string{"dockerd"}}).KeptFor(ra, "2"); have != "" {
		t.Errorf("accept_ra of a server that does not forward IPv6: %q", have)
	}
	if have := (&Others{Routes6: true}).KeptFor(ra, "2"); have != "IPv6 forwarding" {
		t.Errorf("accept_ra of a server that forwards IPv6: %q", have)
	}
}

func TestBootSettings(t *testing.T) {
	have := bootSettings([]textFile{
		{"a", "# net.ipv4.ip_forward=1\n;x\n\nnet.ipv4.ip_forward = 0\nnet/ipv6/conf/eth0.5/accept_ra=2\n"},
		{"b", "-net.ipv4.conf.all.forwarding=1\nkernel.printk = 4\t4 1  7\nnet.ipv6.conf.eth0/5.accept_ra=1\nno value\n"},
	})
	want := map[string]Setting{
		ForwardingIPv4:                   {"1", "b"},
		"net/ipv6/conf/eth0.5/accept_ra": {"1", "b"},
		"kernel/printk":                  {"4 4 1 7", "b"},
	}
	if !reflect.DeepEqual(want, have) {
		t.Errorf("want %v, have %v", want, have)
	}
}

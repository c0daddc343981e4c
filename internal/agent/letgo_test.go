package agent

import (
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/agent/nft"
)

func TestKeptFor(t *testing.T) {
	docker := otherBridge{name: "docker0", ports: 1, four: true}
	for _, c := range []struct {
		name string
		s    surroundings
		want [2]string // of IPv4's and of IPv6's forwarding
	}{
		{"nobody", surroundings{}, [2]string{}},
		{"containers", surroundings{bridges: []otherBridge{docker}}, [2]string{"docker0", ""}},
		{"both families", surroundings{bridges: []otherBridge{{name: "cni0", ports: 2, four: true, six: true}}}, [2]string{"cni0", "cni0"}},
		{"no ports", surroundings{bridges: []otherBridge{{name: "docker0", four: true, six: true}}}, [2]string{}},
		{"no address", surroundings{bridges: []otherBridge{{name: "br1", ports: 3}}}, [2]string{}},
		{"an uplink", surroundings{bridges: []otherBridge{{name: "br0", ports: 3, four: true, six: true, leads: true}}}, [2]string{}},
		{"rules", surroundings{rules: []nft.OtherRules{{What: "masquerade in ip nat post", Four: true, Six: false}}}, [2]string{"masquerade in ip nat post", ""}},
		{"rules of IPv6", surroundings{rules: []nft.OtherRules{{What: "masquerade in ip6 nat post", Four: false, Six: true}}}, [2]string{"", "masquerade in ip6 nat post"}},
		{"a tunnel", surroundings{tunnels: []string{"wg0"}}, [2]string{"wg0", "wg0"}},
		{"a daemon", surroundings{daemons: []string{"dockerd", "libvirtd"}}, [2]string{"dockerd", "dockerd"}},
		{"a file", surroundings{files: map[string]bootSetting{forwardingIPv4: {"1", "/etc/sysctl.d/r.conf"}}}, [2]string{"/etc/sysctl.d/r.conf", ""}},
		{"a file that says no", surroundings{files: map[string]bootSetting{forwardingIPv4: {"0", "/etc/sysctl.d/r.conf"}}}, [2]string{}},
		{"a pattern", surroundings{files: map[string]bootSetting{"net/ipv6/conf/*/forwarding": {"1", "/x"}}}, [2]string{"", "/x"}},
	} {
		if have := [2]string{c.s.keptFor(forwardingIPv4, "1"), c.s.keptFor(forwardingIPv6, "1")}; have != c.want {
			t.Errorf("%s: want %q, have %q", c.name, c.want, have)
		}
	}
	ra := "net/ipv6/conf/eth0/accept_ra"
	if have := (&surroundings{daemons: []string{"dockerd"}}).keptFor(ra, "2"); have != "" {
		t.Errorf("accept_ra of a server that does not forward IPv6: %q", have)
	}
	if have := (&surroundings{routes6: true}).keptFor(ra, "2"); have != "IPv6 forwarding" {
		t.Errorf("accept_ra of a server that forwards IPv6: %q", have)
	}
}

func TestBootSettings(t *testing.T) {
	have := bootSettings([]textFile{
		{"a", "# net.ipv4.ip_forward=1\n;x\n\nnet.ipv4.ip_forward = 0\nnet/ipv6/conf/eth0.5/accept_ra=2\n"},
		{"b", "-net.ipv4.conf.all.forwarding=1\nkernel.printk = 4\t4 1  7\nnet.ipv6.conf.eth0/5.accept_ra=1\nno value\n"},
	})
	want := map[string]bootSetting{
		forwardingIPv4:                   {"1", "b"},
		"net/ipv6/conf/eth0.5/accept_ra": {"1", "b"},
		"kernel/printk":                  {"4 4 1 7", "b"},
	}
	if !reflect.DeepEqual(want, have) {
		t.Errorf("want %v, have %v", want, have)
	}
}

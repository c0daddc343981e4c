package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestSameMAC: of containers on one segment with one MAC all but the first are to change, and none that
// flock attached; MACs of other segments, of ports of nobody and on bridges of others do not count.
func TestSameMAC(t *testing.T) {
	const mac = "02:00:00:00:00:77"
	on := func(p patient, container, bridge, mac, owner string) {
		p.Containers = append(p.Containers, spec.Container{Name: container, Interfaces: []spec.ContainerInterface{{Name: "eth0", Port: "p" + container, Bridge: bridge, MAC: mac, Owner: owner}}})
	}
	for _, c := range []struct {
		name string
		make func(one, two patient)
		want []string
	}{
		{"on two servers", func(one, two patient) { on(one, "netns/a", "vxl0", mac, ""); on(two, "docker/b", "vxl0", mac, "") }, []string{
			"s2: eth0 of docker/b has MAC " + mac + ", which eth0 of s1:netns/a has too; nsenter -n -t $(docker inspect -f '{{.State.Pid}}' b) ip link set dev eth0 address 6a:",
		}},
		{"on one", func(one, _ patient) { on(one, "netns/a", "vxl0", mac, ""); on(one, "netns/b", "vxl0", mac, "") }, []string{"s1: eth0 of netns/b"}},
		{"of flock's", func(one, two patient) {
			on(one, "netns/a", "vxl0", mac, "")
			on(two, "netns/b", "vxl0", mac, "default")
		}, []string{"s1: eth0 of netns/a"}},
		{"others", func(one, two patient) {
			on(one, "netns/a", "vxl0", mac, "")
			on(one, "netns/c", "docker0", mac, "")
			on(two, "netns/a", "vxl0", "02:00:00:00:00:78", "")
			on(two, "", "vxl0", mac, "")
			on(two, "netns/d", "", mac, "")
		}, nil},
	} {
		facts, all := healthy()
		c.make(all[0], all[1])
		var have []string
		for _, f := range Examine(facts) {
			if f.Check != "mac" {
				t.Errorf("%s: %+v", c.name, f)
			}
			have = append(have, f.Server+": "+f.What+"; "+f.Fix)
		}
		if len(have) != len(c.want) {
			t.Fatalf("%s: want %q, have %q", c.name, c.want, have)
		}
		for i := range have {
			if !strings.HasPrefix(have[i], c.want[i]) {
				t.Errorf("%s: want %q, have %q", c.name, c.want, have)
			}
		}
	}
}

// TestSameAddress: the same of addresses, whichever of several it is.
func TestSameAddress(t *testing.T) {
	on := func(p patient, container, bridge, owner string, addrs ...string) {
		one := spec.ContainerInterface{Name: "eth0", Port: "p" + container, Bridge: bridge, MAC: "6a:0b:00:00:00:" + container[len(container)-2:], Owner: owner}
		for _, a := range addrs {
			one.Addrs = append(one.Addrs, netip.MustParsePrefix(a))
		}
		p.Containers = append(p.Containers, spec.Container{Name: container, Interfaces: []spec.ContainerInterface{one}})
	}
	for _, c := range []struct {
		name string
		make func(one, two patient)
		want string
	}{
		{"on two servers", func(one, two patient) {
			on(one, "netns/11", "vxl0", "", "10.0.4.201/24", "fd00:4::7/64")
			on(two, "lxc/22", "vxl0", "", "10.0.4.202/24", "fd00:4::7/120")
		}, "s2: eth0 of lxc/22 has fd00:4::7, which eth0 of s1:netns/11 has too; lxc-attach -n 22 -- ip addr del fd00:4::7/120 dev eth0"},
		{"of flock's", func(one, two patient) {
			on(one, "netns/11", "vxl0", "", "10.0.4.201/24")
			on(two, "netns/22", "vxl0", "default", "10.0.4.201/24")
		}, "s1: eth0 of netns/11 has 10.0.4.201, which eth0 of s2:netns/22 has too; ip netns exec 11 ip addr del 10.0.4.201/24 dev eth0"},
		{"others", func(one, two patient) {
			on(one, "netns/11", "vxl0", "", "10.0.4.201/24")
			on(one, "netns/33", "docker0", "", "10.0.4.201/24")
			on(two, "netns/22", "vxl0", "", "10.0.4.202/24")
			on(two, "netns/44", "vxl0", "")
		}, ""},
	} {
		facts, all := healthy()
		c.make(all[0], all[1])
		have := ""
		for _, f := range Examine(facts) {
			if have += f.Server + ": " + f.What + "; " + f.Fix; f.Check != "container-address" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if have != c.want {
			t.Errorf("%s: want %q, have %q", c.name, c.want, have)
		}
	}
}

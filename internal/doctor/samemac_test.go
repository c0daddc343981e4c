package doctor

import (
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

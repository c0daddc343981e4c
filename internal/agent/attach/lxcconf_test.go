//go:build linux

package attach

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

func lxcWant(iface string) spec.Attachment {
	return spec.Attachment{Container: "lxc/c1", Interface: iface, Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:00:00:00:01", MTU: 1450}
}

// TestLXCConfigurationSaysWhatIsWanted: an interface of the container's own is moved by lines
// behind its own, another one is one more network, and only one without another way out
// brings a default route.
func TestLXCConfigurationSaysWhatIsWanted(t *testing.T) {
	own := "lxc.net.0.type = veth\nlxc.net.0.link = lxcbr0\nlxc.net.0.ipv4.address = 10.0.3.7/24\nlxc.uts.name = \"c1\"\n"
	moved := lxcWant("eth0")
	moved.Addrs, moved.Gateways = []netip.Prefix{netip.MustParsePrefix("10.0.4.200/24")}, []netip.Addr{netip.MustParseAddr("10.0.4.1")}
	more := lxcWant("eth1")
	more.Gateways = moved.Gateways
	for name, test := range map[string]struct {
		text string
		a    spec.Attachment
		want string
	}{
		"moved": {own, moved, own + `# flock:c/vx1/lxc/c1/eth0 10.0.4.200/24
lxc.net.0.ipv4.address =
lxc.net.0.ipv4.gateway =
lxc.net.0.ipv6.address =
lxc.net.0.ipv6.gateway =
lxc.net.0.link = vxl0
lxc.net.0.hwaddr = 6a:0c:00:00:00:01
lxc.net.0.mtu = 1450
lxc.net.0.ipv4.address = 10.0.4.200/24
lxc.net.0.ipv4.gateway = 10.0.4.1
# flock: end
`},
		"more": {own, more, own + `# flock:c/vx1/lxc/c1/eth1
lxc.net.1.type = veth
lxc.net.1.flags = up
lxc.net.1.name = eth1
lxc.net.1.link = vxl0
lxc.net.1.hwaddr = 6a:0c:00:00:00:01
lxc.net.1.mtu = 1450
# flock: end
`},
		"none before": {"lxc.net.0.type = empty", more, `lxc.net.0.type = empty
# flock:c/vx1/lxc/c1/eth1
lxc.net.1.type = veth
lxc.net.1.flags = up
lxc.net.1.name = eth1
lxc.net.1.link = vxl0
lxc.net.1.hwaddr = 6a:0c:00:00:00:01
lxc.net.1.mtu = 1450
lxc.net.1.ipv4.gateway = 10.0.4.1
# flock: end
`},
	} {
		got := parseLXC(test.text).with("c", test.a)
		if got != test.want {
			t.Errorf("%s: got\n%s", name, got)
		}
		if again := parseLXC(got).with("c", test.a); again != got {
			t.Errorf("%s: the second time it says\n%s", name, again)
		}
	}
}

// TestLXCNamesOfInterfaces: those without a name are called as LXC calls them.
func TestLXCNamesOfInterfaces(t *testing.T) {
	c := parseLXC("lxc.net.3.type=veth\nlxc.net.0.type = empty\nlxc.net.1.type = veth\nlxc.net.1.name = eth0\nlxc.net.2.type = phys\nlxc.net.2.link = ens4\n")
	for iface, want := range map[string]int{"eth0": 1, "eth1": 3, "ens4": 2, "eth2": -1} {
		if got := c.own(iface); got != want {
			t.Errorf("%s is network %d, want %d", iface, got, want)
		}
	}
}

// TestLXCConfigurationComesBack: whatever was kept there, in whatever order it goes, the
// text is what it was.
func TestLXCConfigurationComesBack(t *testing.T) {
	rnd := seed.New(t)
	parts := []string{
		"lxc.net.0.type = veth\n", "lxc.net.0.link = lxcbr0\n", "lxc.net.1.type = macvlan\n", "lxc.net.7.type = veth\n", "lxc.net.7.name = eth1\n",
		"# a comment\n", "\n", "lxc.uts.name = c1\n", "lxc.net.x = 1\n", "# flock: end\n", "lxc.include = /x\n",
	}
	for range 500 {
		text := ""
		for range rnd.IntN(12) {
			text += parts[rnd.IntN(len(parts))]
		}
		now, there := text, map[string]spec.Attachment{}
		for range 20 {
			a := lxcWant([]string{"eth0", "eth1", "eth2", "net0"}[rnd.IntN(4)])
			if rnd.IntN(3) == 0 {
				a.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.4.200/24")}
			}
			c := parseLXC(now)
			if b := c.block("c", a); b != nil && rnd.IntN(2) == 0 {
				now = c.without(b)
				delete(there, a.Interface)
				continue
			}
			now = c.with("c", a)
			there[a.Interface] = a
		}
		for _, a := range there {
			c := parseLXC(now)
			if c.with("c", a) != now {
				t.Fatalf("%s is not kept in\n%s", a.Interface, now)
			}
			now = c.without(c.block("c", a))
		}
		if now != text {
			t.Fatalf("it was\n%s\nand is\n%s", text, now)
		}
		if strings.Contains(now, "vxl0") {
			t.Fatal("something is left")
		}
	}
}

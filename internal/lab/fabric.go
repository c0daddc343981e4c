package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// The underlay: the namespace fabric has one bridge per underlay subnet, and routes
// between the servers and the namespace outside. Outside has a route back to the first
// underlay only, so that a packet from a container is answered only if it was
// masqueraded.

// layFabric makes fabric, outside and, attached, this machine's interface.
func (l *Lab) layFabric(ctx context.Context) error {
	fabric, outside := l.ns("fabric"), l.ns("outside")
	err := ipBatch(ctx, "",
		"netns add "+fabric,
		"netns add "+outside,
		fmt.Sprintf("link add up0 netns %s type veth peer name eth0 netns %s", fabric, outside))
	if err != nil {
		return err
	}
	err = ipBatch(ctx, fabric,
		"link set lo up",
		// By default a bridge's MAC is the lowest of its ports: when a machine is
		// removed, the others would lose their router until they resolve it again.
		"link add br0 address 02:61:00:00:00:00 type bridge mcast_snooping 0", "link set br0 up",
		"link add br1 address 02:61:00:00:00:01 type bridge mcast_snooping 0", "link set br1 up",
		fmt.Sprintf("addr add %s/24 dev br0", gateway4), fmt.Sprintf("addr add %s/64 dev br0 nodad", gateway6),
		fmt.Sprintf("addr add %s/24 dev br1", hostPart(second4, 254)),
		"link set up0 up",
		fmt.Sprintf("addr add %s/24 dev up0", outsideGW4), fmt.Sprintf("addr add %s/64 dev up0 nodad", outsideGW6))
	if err != nil {
		return err
	}
	err = ipBatch(ctx, outside,
		"link set lo up", "link set eth0 up",
		fmt.Sprintf("addr add %s/24 dev eth0", outside4), fmt.Sprintf("addr add %s/64 dev eth0 nodad", outside6),
		fmt.Sprintf("route add %s via %s", underlay4, outsideGW4), fmt.Sprintf("route add %s via %s", underlay6, outsideGW6))
	if err != nil {
		return err
	}
	err = inNS(fabric, func() error {
		for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0); err != nil {
				return fmt.Errorf("let the fabric forward: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.startOutsideDNS(); err != nil {
		return err
	}
	if l.Attach {
		return l.attach(ctx)
	}
	return nil
}

// startOutsideDNS runs the resolver in every server's resolv.conf. It resolves one name.
func (l *Lab) startOutsideDNS() error {
	_, err := l.start("outside", nil, l.path("outside.log"), "nsenter", "--net="+nsFile(l.ns("outside")),
		"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
		"--bind-interfaces", "--interface=eth0", "--log-facility=-",
		fmt.Sprintf("--address=/%s/%s", outsideName, outside4), fmt.Sprintf("--address=/%s/%s", outsideName, outside6))
	return err
}

func (l *Lab) attach(ctx context.Context) error {
	m := machine{Laptop, laptopNumber}
	err := ipBatch(ctx, "",
		fmt.Sprintf("link add %s type veth peer name %s netns %s", attached, m.name, l.ns("fabric")),
		// Linux 6.18 ignores an alias in the request that creates a link.
		fmt.Sprintf("link set %s alias flock-lab:%s up", attached, l.Dir),
		fmt.Sprintf("addr add %s/24 dev %s", m.addr4(), attached),
		fmt.Sprintf("addr add %s/64 dev %s nodad", m.addr6(), attached),
		fmt.Sprintf("route add %s via %s dev %s", second4, gateway4, attached))
	if err != nil {
		return err
	}
	return ipBatch(ctx, l.ns("fabric"), fmt.Sprintf("link set %s master br0 up", m.name))
}

// wire makes m's network namespace, with eth0 on the first underlay and eth1 on the
// second.
func (l *Lab) wire(ctx context.Context, m machine) error {
	ns, fabric := l.ns(m.name), l.ns("fabric")
	err := ipBatch(ctx, "",
		"netns add "+ns,
		fmt.Sprintf("link add eth0 netns %s address 02:63:00:00:00:%02x type veth peer name %s netns %s", ns, m.n, m.name, fabric),
		fmt.Sprintf("link add eth1 netns %s address 02:62:00:00:00:%02x type veth peer name %sb netns %s", ns, m.n, m.name, fabric))
	if err != nil {
		return err
	}
	err = ipBatch(ctx, fabric, fmt.Sprintf("link set %s master br0 up", m.name), fmt.Sprintf("link set %sb master br1 up", m.name))
	if err != nil {
		return err
	}
	if err := noDAD(ns, "eth0", "eth1"); err != nil {
		return err
	}
	return ipBatch(ctx, ns,
		"link set lo up", "link set eth0 up", "link set eth1 up",
		fmt.Sprintf("addr add %s/24 dev eth0", m.addr4()), fmt.Sprintf("addr add %s/64 dev eth0 nodad", m.addr6()),
		fmt.Sprintf("addr add %s/24 dev eth1", m.second4()),
		fmt.Sprintf("route add default via %s", gateway4), fmt.Sprintf("route add default via %s", gateway6))
}

// noDAD turns off duplicate address detection on the named links of ns, so that a
// machine's link-local addresses can be used from the start.
func noDAD(ns string, links ...string) error {
	return inNS(ns, func() error {
		for _, name := range links {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
				return fmt.Errorf("spare %s duplicate address detection: %w", name, err)
			}
		}
		return nil
	})
}

// Cut takes down the carrier of host's eth0, as an unplugged cable would.
func (l *Lab) Cut(ctx context.Context, host string) error { return l.port(ctx, host, "down") }

// Join restores the carrier of host's eth0.
func (l *Lab) Join(ctx context.Context, host string) error { return l.port(ctx, host, "up") }

func (l *Lab) port(ctx context.Context, host, state string) error {
	m, err := l.mustMachine(host)
	if err != nil {
		return err
	}
	return ipBatch(ctx, l.ns("fabric"), fmt.Sprintf("link set %s %s", m.name, state))
}

// ipBatch runs lines of ip(8) in a namespace; empty means this machine's own.
func ipBatch(ctx context.Context, ns string, lines ...string) error {
	argv := []string{"ip", "-batch", "-"}
	if ns != "" {
		argv = []string{"ip", "-n", ns, "-batch", "-"}
	}
	return run(ctx, strings.Join(lines, "\n")+"\n", argv...)
}

// deleteLinks removes the named links that exist in ns. After the removal of one end of
// a veth pair both are gone; after that of its namespace the other end may still exist
// for a moment.
func deleteLinks(ctx context.Context, ns string, names ...string) error {
	if !exists(nsFile(ns)) {
		return nil
	}
	text, err := output(ctx, "", "ip", "-n", ns, "-j", "link", "show")
	if err != nil {
		return err
	}
	var links []struct{ IfName string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("list links of namespace %s: %w", ns, err)
	}
	var lines []string
	for _, link := range links {
		if slices.Contains(names, link.IfName) {
			lines = append(lines, "link del "+link.IfName)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return ipBatch(ctx, ns, lines...)
}

// checkFree refuses to attach a lab whose addresses this machine uses already.
func (l *Lab) checkFree(ctx context.Context) error {
	text, err := output(ctx, "", "ip", "-j", "route", "show")
	if err != nil {
		return err
	}
	var routes []struct{ Dst, Dev string }
	if err := json.Unmarshal(text, &routes); err != nil {
		return fmt.Errorf("read this machine's routes: %w", err)
	}
	for _, r := range routes {
		p, err := netip.ParsePrefix(r.Dst)
		if err != nil {
			a, err := netip.ParseAddr(r.Dst)
			if err != nil {
				continue // default, or a route type that names no destination
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if r.Dev == attached {
			dir, err := attachedTo(ctx)
			if err != nil {
				return err
			}
			if dir == "" {
				continue // it has just gone
			}
			return hint.Errorf("this machine", "FLOCK_LAB="+dir+" flock lab down", "attach the lab: the one in %s is attached, by %s", dir, attached)
		}
		if p.Bits() > 0 && (p.Overlaps(underlay4) || p.Overlaps(second4)) {
			return hint.Errorf("this machine", "ip route show dev "+r.Dev,
				"attach the lab: %s and %s are its own, and the route %s dev %s overlaps", underlay4, second4, p, r.Dev)
		}
	}
	return nil
}

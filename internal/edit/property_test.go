package edit

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/iptunnel"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

var sequences = flag.Int("sequences", 2000, "random edit sequences of TestEditsLeaveAGoodFile")

// TestEditsLeaveAGoodFile: whatever is edited in whatever order, a file that was saved
// is read again, completes, compiles to the same, and every function that reads it
// works on it.
func TestEditsLeaveAGoodFile(t *testing.T) {
	random := seed.New(t)
	taken, tried := map[string]int{}, map[string]int{}
	tries := *sequences
	if testing.Short() { // make unit
		tries /= 5
	}
	for i := range tries {
		w := &world{rnd: random}
		w.c = w.servers()
		for range 4 + w.rnd.IntN(14) {
			what, edit := w.edit()
			kind, _, _ := strings.Cut(what, " ")
			tried[kind]++
			w.log = append(w.log, what)
			if err := w.try(edit); err != nil {
				t.Fatalf("sequence %d: %v\n%s", i, err, strings.Join(w.log, "\n"))
			}
			if w.done {
				taken[kind]++
			}
		}
	}
	t.Log("taken: ", taken)
	for kind, n := range tried {
		if taken[kind] == 0 && n > 200 {
			t.Errorf("%s was never taken in %d tries: it is not tested", kind, n)
		}
	}
}

// world is a cluster that is edited at random.
type world struct {
	rnd  *rand.Rand
	c    *state.Cluster
	past []*state.Cluster
	log  []string
	done bool // the last edit was taken
}

// servers are some that were contacted and one that was not, in one underlay or two.
func (w *world) servers() *state.Cluster {
	c := &state.Cluster{Schema: state.Schema, Name: "default", ID: "test"}
	for i := range 3 + w.rnd.IntN(3) {
		s := &state.Server{Address: fmt.Sprintf("192.168.7.%d", i+1), NAT: w.rnd.IntN(5) == 0}
		if w.rnd.IntN(8) > 0 {
			s.Facts = w.facts(i)
		}
		if c.Servers == nil {
			c.Servers = map[string]*state.Server{}
		}
		c.Servers[fmt.Sprintf("s%d", i+1)] = s
	}
	return c
}

func (w *world) facts(i int) *state.Facts {
	eth0 := state.Interface{Name: "eth0", MTU: 1500, Addrs: prefixes(fmt.Sprintf("192.168.7.%d/24", i+1))}
	if w.rnd.IntN(3) > 0 {
		eth0.Addrs = append(eth0.Addrs, netip.MustParsePrefix(fmt.Sprintf("fd99::%d/64", i+1)))
	}
	eth1 := state.Interface{Name: "eth1", MTU: 9000, Addrs: prefixes(fmt.Sprintf("192.168.%d.1/24", 10+i%2))}
	return &state.Facts{Default4: "eth0", Default6: "eth0", Interfaces: []state.Interface{eth0, eth1}}
}

// try carries an edit out as a command does, and looks at what it leaves.
func (w *world) try(edit func(*state.Cluster) error) error {
	c := w.c.Clone()
	_, err := Do(c, edit)
	w.done = err == nil
	if err != nil {
		w.log = append(w.log, "  "+err.Error())
		if strings.Contains(err.Error(), "not complete") {
			return fmt.Errorf("a fault of ours: %w", err)
		}
		if where, next := hint.Of(err); where == "" || next == "" || strings.Contains(err.Error(), "\n") {
			return fmt.Errorf("refused without advice (where %q, next %q): %w", where, next, err)
		}
		return nil
	}
	if w.c, err = reread(c); err != nil {
		return err
	}
	w.past = append(w.past, w.c.Clone())
	return nil
}

// reread saves c and loads it, as the next command does.
func reread(c *state.Cluster) (*state.Cluster, error) {
	data, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	loaded, err := state.Parse(data, "c.toml")
	if err != nil {
		return nil, fmt.Errorf("what was saved is not read: %w", err)
	}
	was, err := network.Compile(c)
	if err != nil {
		return nil, fmt.Errorf("does not compile: %w", err)
	}
	now, err := Do(loaded, func(*state.Cluster) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("the next command refuses the file: %w", err)
	}
	for name, h := range was.Hosts {
		if h.Text() != now.Hosts[name].Text() {
			return nil, fmt.Errorf("%s is another one after loading:\n%s\n%s", name, h.Text(), now.Hosts[name].Text())
		}
	}
	if again, err := loaded.Marshal(); err != nil || !bytes.Equal(data, again) {
		return nil, errors.Join(err, fmt.Errorf("loading changed the file:\n%s\n%s", data, again))
	}
	readAll(loaded, now)
	return loaded, nil
}

// readAll calls what listings, plans and status read a cluster by.
func readAll(c *state.Cluster, out *ground.Compiled) {
	ground.Memberships(c)
	network.Speakers(c)
	network.BGPNetworks(c)
	for name, s := range c.Servers {
		ground.DefaultUnderlay(name, s)
		network.Devices(c, name)
		network.KeyDevices(c, name)
		ground.Networks(c, name)
		out.Hosts[name].Sum()
	}
	for name, n := range c.Networks {
		ground.DHCPServer(n)
		network.KeyDevice(c, name)
		network.KindOf(c.Networks[name])
		iptunnel.OuterTTL(n)
		for _, a := range n.Members {
			for _, b := range n.Members {
				peering.Told(n, ground.ServerOf(a), ground.ServerOf(b), func(string) bool { return true })
			}
		}
	}
}

func pick[T any](w *world, list ...T) T { return list[w.rnd.IntN(len(list))] }

func (w *world) server() string {
	if w.rnd.IntN(30) == 0 || len(w.c.Servers) == 0 {
		return pick(w, network.Local, "s9")
	}
	return pick(w, w.c.ServerNames()...)
}

// network is one of the cluster, now and then another; of some types where there are
// such.
func (w *world) network(types ...string) string {
	if w.rnd.IntN(20) > 0 {
		var names []string
		for name, n := range w.c.Networks {
			if len(types) == 0 || slices.Contains(types, n.Type) {
				names = append(names, name)
			}
		}
		if slices.Sort(names); len(names) > 0 {
			return pick(w, names...)
		}
	}
	return pick(w, w.names()...)
}

func (w *world) names() []string { return []string{"n1", "n2", "n3", "n4", "n5", "gre-s1-s2"} }

// member is a server with a place or without: now and then what another network gives
// it.
func (w *world) member() string {
	server := w.server()
	s := w.c.Servers[server]
	if s == nil || w.rnd.IntN(2) == 0 {
		return server
	}
	places := []string{"eth0", "eth1", "192.168.7.1"}
	if s.Subnet.IsValid() {
		places = append(places, s.Subnet.Addr().String(), "app0")
	}
	if out, err := network.Compile(w.c); err == nil && out.Hosts[server] != nil {
		for _, a := range out.Hosts[server].Addrs {
			places = append(places, a.Link, a.Prefix.Addr().String())
		}
	}
	slices.Sort(places)
	return ground.MemberText(server, pick(w, places...))
}

func (w *world) members() []string {
	out := make([]string, 1+w.rnd.IntN(4))
	for i := range out {
		out[i] = w.member()
	}
	return out
}

func (w *world) subnet() netip.Prefix {
	return netip.MustParsePrefix(pick(w, "10.0.4.0/24", "10.0.8.0/24", "10.1.0.0/16", "10.0.10.0/24", "10.0.11.0/24", "10.2.0.0/29", "10.244.0.0/16",
		"10.244.1.0/24", "10.3.0.0/28", "203.0.113.0/24", "fd00:4::/64", "fd00:5::/120", "fd00:6::/48", "10.4.0.0/30"))
}

func (w *world) share() string {
	server := w.server()
	if s := w.c.Servers[server]; s != nil && s.Subnet.IsValid() && w.rnd.IntN(2) == 0 {
		return server + ":" + s.Subnet.Masked().String()
	}
	return server + ":" + w.subnet().String()
}

func (w *world) options(kind string) option.Options {
	o := option.Options{}
	some := func() bool { return w.rnd.IntN(6) == 0 }
	segment, pooled := kind == network.VXLAN || kind == network.L2 || kind == network.Bridge, slices.Contains(network.PoolTypes(), kind)
	if w.rnd.IntN(3) == 0 {
		list := []netip.Prefix{w.subnet()}
		if some() {
			list = append(list, w.subnet())
		}
		o["subnet"] = list
	}
	if (segment || pooled) && w.rnd.IntN(3) == 0 {
		o["bridge"] = pick(w, "br0", "br1", "vxl0", "app0")
	}
	if segment && w.rnd.IntN(3) == 0 {
		o["dhcp-server"] = w.server()
	}
	if segment && some() {
		o["dhcp"] = pick(w, state.DHCPDistributed, state.DHCPOff, state.DHCPSingle)
	}
	if some() {
		o["interface"] = pick(w, "eth0", "eth1", "192.168.7.2", "br0")
	}
	if some() {
		o["mtu"] = pick[int64](w, 576, 1280, 1400, 9000)
	}
	if some() {
		o["port"] = pick[int64](w, 4789, 51820, 8472)
	}
	if (kind == network.VXLAN || kind == network.VXLANL3) && some() {
		o["vni"], o["gbp"] = pick[int64](w, 1, 42, 43), some()
	}
	if kind == network.Bridge && some() {
		o["vlan"] = pick[int64](w, 30, 31)
	}
	if kind == network.VXLAN && some() {
		o["group"] = netip.MustParseAddr(pick(w, "239.0.0.42", "ff08::42"))
	}
	if (kind == network.L2 || kind == network.WireGuard) && some() {
		o["topology"] = pick(w, state.Hub, state.Mesh)
	}
	if pooled && some() {
		o["direct-routing"], o["subnet-len"] = kind == network.VXLANL3 || kind == network.IPIP, []int{pick(w, 24, 26, 30, 64)}
	}
	return o
}

// edit is a random edit, and what it is.
func (w *world) edit() (string, func(*state.Cluster) error) {
	edits := []func() (string, func(*state.Cluster) error){w.create, w.create, w.create, w.join, w.join, w.join, w.leave, w.onServers, w.shared, w.bgp, w.bgp, w.replace, w.set, w.attach, w.attach, w.docker}
	return pick(w, edits...)()
}

func (w *world) create() (string, func(*state.Cluster) error) {
	name := pick(w, w.names()...)
	switch w.rnd.IntN(5) {
	case 0:
		m, o := w.member(), BGPOptions{Mode: pick(w, "", state.Mesh, state.Reflector)}
		return fmt.Sprint("createbgp ", name, " ", m, o), func(c *state.Cluster) error { return CreateBGP(c, name, m, o) }
	case 1:
		kind, a, b := pick(w, network.TunnelTypes()...), w.member(), w.member()
		o := TunnelOptions{Name: pick(w, "", name)}
		if w.rnd.IntN(3) == 0 {
			o.Key = number(w.rnd.Int64N(3))
		}
		return fmt.Sprint("addtunnel ", kind, " ", a, " ", b, o), func(c *state.Cluster) error { return AddTunnel(c, kind, a, b, o) }
	}
	kind := pick(w, network.Created()...)
	o := w.options(kind)
	return fmt.Sprintf("createnetwork %s %s %+v", name, kind, o), func(c *state.Cluster) error { return Create(c, name, kind, o) }
}

func (w *world) join() (string, func(*state.Cluster) error) {
	name, members := w.network(), w.members()
	n := w.c.Networks[name]
	switch {
	case n != nil && n.Type == network.WireGuard && n.Lead == "":
		return fmt.Sprint("lead ", name, members), func(c *state.Cluster) error { return JoinLead(c, name, members[0]) }
	case n != nil && n.Type == network.WireGuard:
		return fmt.Sprint("client ", name, members), func(c *state.Cluster) error { return JoinClients(c, name, members) }
	case n != nil && n.Type == network.BGP:
		return fmt.Sprint("peer ", name, members), func(c *state.Cluster) error { return JoinBGP(c, name, members) }
	}
	if w.rnd.IntN(8) == 0 {
		return fmt.Sprint("addnetwork --move-addresses ", name, members), func(c *state.Cluster) error { return JoinMoving(c, name, members) }
	}
	return fmt.Sprint("addnetwork ", name, members), func(c *state.Cluster) error { return Join(c, name, members) }
}

func (w *world) leave() (string, func(*state.Cluster) error) {
	name := w.network()
	n := w.c.Networks[name]
	if n == nil || len(n.Members) == 0 || w.rnd.IntN(2) == 0 {
		return "remove " + name, func(c *state.Cluster) error {
			if n := c.Networks[name]; n != nil && n.Type == network.BGP {
				return RemoveBGP(c, name)
			}
			if n := c.Networks[name]; n != nil && network.KindOf(n).Tunnel {
				return DelTunnel(c, name)
			}
			return Remove(c, name)
		}
	}
	server := ground.ServerOf(pick(w, n.Members...))
	return "leave " + name + " " + server, func(c *state.Cluster) error {
		switch n.Type {
		case network.WireGuard:
			return LeaveClients(c, name, []string{server})
		case network.BGP:
			return LeaveBGP(c, name, []string{server})
		}
		return Leave(c, name, []string{server})
	}
}

func (w *world) onServers() (string, func(*state.Cluster) error) {
	server := w.server()
	switch w.rnd.IntN(9) {
	case 0:
		name := fmt.Sprintf("s%d", 1+w.rnd.IntN(8))
		s := state.Server{Address: "192.168.7." + name[1:], NAT: w.rnd.IntN(4) == 0, Interface: pick(w, "", "", "eth0", "192.168.7.1", "br0")}
		return fmt.Sprintf("addserver %s %v", name, s.NAT), func(c *state.Cluster) error { return AddServer(c, name, s) }
	case 1:
		return "delserver " + server, func(c *state.Cluster) error { return DelServer(c, server, false) }
	case 2:
		return "delserver-force " + server, func(c *state.Cluster) error { return DelServer(c, server, true) }
	case 3:
		return "strip " + server, func(c *state.Cluster) error {
			if c.Servers[server] == nil {
				return ground.UnknownServer(server)
			}
			return Strip(c, server)
		}
	case 4:
		return "setsubnet-none " + server, func(c *state.Cluster) error { return SetSubnet(c, server, netip.Prefix{}) }
	case 5:
		to := fmt.Sprintf("s%d", 1+w.rnd.IntN(8))
		return "rename " + server + " " + to, func(c *state.Cluster) error { return SetServer(c, server, ServerOptions{Rename: to}) }
	case 6:
		o := ServerOptions{Given: state.Server{NAT: w.rnd.IntN(2) == 0, Interface: pick(w, "eth0", "eth1", "192.168.7.1"), Endpoint: pick(w, "", "h.example:51820")}, Keys: []string{pick(w, "nat", "interface", "endpoint")}}
		if w.rnd.IntN(2) == 0 {
			o = ServerOptions{Unset: []string{pick(w, Properties()...)}}
		}
		return fmt.Sprintf("setserver %s %+v", server, o), func(c *state.Cluster) error { return SetServer(c, server, o) }
	case 7:
		return "readdress " + server, func(c *state.Cluster) error { return w.readdress(c, server) }
	}
	p := w.subnet()
	if w.rnd.IntN(3) == 0 {
		bridge := pick(w, network.Adoptable()...)
		return fmt.Sprint("setsubnet ", server, " ", p, " --adopt ", bridge), func(c *state.Cluster) error { return Adopt(c, server, p, bridge) }
	}
	return fmt.Sprint("setsubnet ", server, " ", p), func(c *state.Cluster) error { return SetSubnet(c, server, p) }
}

// readdress gives a server that was contacted other addresses on eth0.
func (w *world) readdress(c *state.Cluster, server string) error {
	s, address := c.Servers[server], fmt.Sprintf("192.168.7.%d", 100+w.rnd.IntN(100))
	if s == nil || s.Facts == nil || server == network.Local {
		return ground.UnknownServer(server)
	}
	was := *s
	if err := SetServer(c, server, ServerOptions{Given: state.Server{Address: address}, Keys: []string{"address"}, Replace: w.rnd.IntN(3) == 0}); err != nil {
		return err
	}
	facts := *s.Facts
	facts.Interfaces = slices.Clone(facts.Interfaces)
	facts.Interfaces[0].Addrs = prefixes(address + "/24")
	s.Facts = &facts
	Follow(c, server, &was)
	return nil
}

// set is setnetwork with options of the network's kind, hardly ever of another.
func (w *world) set() (string, func(*state.Cluster) error) {
	name, kind := w.network(network.Created()...), network.VXLAN
	var unset []string
	if n := w.c.Networks[name]; n != nil && w.rnd.IntN(10) > 0 {
		kind = n.Type
		if keys := network.KindOf(n).Options(); len(keys) > 0 && w.rnd.IntN(3) == 0 {
			unset = append(unset, pick(w, keys...))
		}
	}
	o := w.options(kind)
	return fmt.Sprintf("setnetwork %s %+v %v", name, o, unset), func(c *state.Cluster) error {
		_, err := Set(c, name, o, unset)
		return err
	}
}

func (w *world) shared() (string, func(*state.Cluster) error) {
	name, share := w.network(network.WireGuard, network.HostGW, network.VXLANL3, network.GRE, network.IPIP, network.BGP), w.share()
	n := w.c.Networks[name]
	speaks := n != nil && n.Type == network.BGP
	switch w.rnd.IntN(6) {
	case 0:
		// Few networks share anything: where none does, one is to.
		shared := false
		for _, other := range w.c.NetworkNames() {
			if shares := w.c.Networks[other].Shares; len(shares) > 0 {
				name, share, shared = other, pick(w, shares...), true
				speaks = w.c.Networks[other].Type == network.BGP
			}
		}
		if !shared {
			break
		}
		return "unshare " + name + " " + share, func(c *state.Cluster) error {
			if speaks {
				return UnshareBGP(c, name, []string{share})
			}
			return DelShares(c, name, []string{share})
		}
	case 1:
		kind := pick(w, network.PoolTypes()...)
		return "changetype " + name + " " + kind, func(c *state.Cluster) error {
			_, err := ChangeType(c, name, kind)
			return err
		}
	}
	force, anycast := w.rnd.IntN(4) == 0, speaks && w.rnd.IntN(3) == 0
	return "share " + name + " " + share, func(c *state.Cluster) error {
		if speaks {
			return ShareBGP(c, name, []string{share}, force, anycast)
		}
		return AddShares(c, name, []string{share}, force)
	}
}

func (w *world) bgp() (string, func(*state.Cluster) error) {
	name, server := w.network(network.BGP), w.server()
	n := w.c.Networks[name]
	if n != nil && len(n.Members) > 0 {
		server = ground.ServerOf(pick(w, n.Members...))
	}
	router := netip.MustParseAddr(pick(w, "192.168.7.254", "192.168.7.1", "10.0.8.1", "10.0.8.2", "10.0.4.254", "10.0.10.9"))
	switch w.rnd.IntN(6) {
	case 0:
		return "reflector " + name + " " + server, func(c *state.Cluster) error { return AddReflectors(c, name, []string{server}) }
	case 1:
		return "reflector-none " + name + " " + server, func(c *state.Cluster) error { return DelReflectors(c, name, []string{server}) }
	case 2:
		return "settle " + name, func(c *state.Cluster) error { return FinishSessions(c, name) }
	case 3:
		if n != nil && len(n.Externals) > 0 {
			e := pick(w, n.Externals...)
			server, router = e.Server, e.Address
		}
		return fmt.Sprint("external-none ", name, " ", server, " ", router), func(c *state.Cluster) error { return DelExternal(c, name, server, router) }
	}
	as, accept := pick[uint32](w, 64512, 64513), []string{"10.128.0.0/9 le 24"}
	backup, prepend, communities := pick(w, true, false), pick[int64](w, 0, 0, 3, 33), pick(w, nil, []string{"65001:1"}, []string{"x"})
	return fmt.Sprint("external ", name, " ", server, " ", router), func(c *state.Cluster) error {
		return AddExternal(c, name, server, router, ExternalOptions{AS: &as, Accept: &accept, Backup: &backup, Prepend: &prepend, Communities: &communities})
	}
}

// docker makes a network one of Docker's, or ends that.
func (w *world) docker() (string, func(*state.Cluster) error) {
	name := pick(w, append(w.c.NetworkNames(), "n9")...)
	var servers []string
	for range w.rnd.IntN(3) {
		servers = append(servers, w.server())
	}
	if w.rnd.IntN(3) == 0 {
		return fmt.Sprint("dockernet --remove ", name, servers), func(c *state.Cluster) error { return DelDocker(c, name, servers) }
	}
	return fmt.Sprint("dockernet ", name, servers), func(c *state.Cluster) error { return AddDocker(c, name, servers) }
}

// attach gives a container an interface, changes it, or takes it away.
func (w *world) attach() (string, func(*state.Cluster) error) {
	server, container, iface := w.server(), pick(w, "netns/c1", "lxc/c1", "docker/c1", "podman/c2", "netns/c2", "netns/-", "libvirt/g1"), pick(w, "eth0", "eth1", "lo")
	s := w.c.Servers[server]
	if s != nil && len(s.Attached) > 0 && w.rnd.IntN(3) == 0 {
		a := pick(w, s.Attached...)
		return "delnet " + server + " " + a.Container + " " + a.Interface, func(c *state.Cluster) error {
			return Detach(c, server, a.Container, a.Interface)
		}
	}
	a := state.Attachment{Container: container, Interface: iface}
	if bridges := segment.Bridges(w.c, server); len(bridges) > 0 {
		a.Bridge = pick(w, append(bridges, "", "br9")...)
	}
	if w.rnd.IntN(3) == 0 {
		a.Addrs = []netip.Addr{netip.MustParseAddr(pick(w, "10.0.4.200", "10.0.4.2", "10.0.10.7", "10.244.0.9", "fd00:4::aaaa", "10.0.4.1"))}
	}
	change := w.rnd.IntN(2) == 0
	return fmt.Sprint("addnet ", server, " ", a, " ", change), func(c *state.Cluster) error { return Attach(c, server, a, change) }
}

// replace goes back to an earlier file, or to one that a hand changed: a network or a
// server left out or renamed, an option changed. Servers that go are taken out in a
// second edit, which nothing may refuse.
func (w *world) replace() (string, func(*state.Cluster) error) {
	wish, what := w.c.Clone(), "apply"
	if len(w.past) > 0 && w.rnd.IntN(3) == 0 {
		wish, what = pick(w, w.past...).Clone(), "rollback"
	}
	names := wish.NetworkNames()
	for range w.rnd.IntN(3) {
		server := pick(w, append(wish.ServerNames(), "s9")...)
		switch hand := w.rnd.IntN(6); {
		case hand == 0:
			delete(wish.Servers, server)
		case hand == 1 && wish.Servers[server] != nil:
			wish.Servers[server].NAT = !wish.Servers[server].NAT
		case len(names) == 0:
		default:
			w.byHand(wish, hand, pick(w, names...), server)
		}
	}
	return what, func(c *state.Cluster) error {
		gone, err := Replace(c, wish)
		if err != nil {
			return err
		}
		if _, err := Do(c.Clone(), func(c *state.Cluster) error {
			for _, server := range gone {
				if err := DelServer(c, server, false); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("not complete: servers that go are still needed: %w", err)
		}
		return nil
	}
}

func (w *world) byHand(wish *state.Cluster, hand int, name, server string) {
	n := wish.Networks[name]
	switch {
	case n == nil:
	case hand == 2:
		delete(wish.Networks, name)
	case hand == 3:
		delete(wish.Networks, name)
		wish.Networks["n9"] = n
	case hand == 4:
		n.Subnets, n.Allocated = []netip.Prefix{w.subnet()}, nil
	default:
		n.DHCPServer = server
	}
}

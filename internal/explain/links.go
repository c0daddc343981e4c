package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/spec"
)

// links makes the devices, still down.
func (w *writer) links() error {
	list := slices.SortedFunc(slices.Values(w.own.Links), func(a, b spec.Link) int {
		return cmp.Or(cmp.Compare(len(a.Master), len(b.Master)), cmp.Compare(a.Name, b.Name)) // bridges before their ports
	})
	for _, l := range list {
		if l.Kind == spec.Port {
			w.build(aboutLink(l), "ip link set "+word(l.Name)+" master "+word(l.Master))
			w.undo(l.Name+" is given back; set it down if it was.", "ip link set "+word(l.Name)+" nomaster")
			continue
		}
		w.build(aboutLink(l), w.newLink(l)...)
		w.undo("Its addresses, neighbours, forwarding entries and routes go with "+l.Name+".", "ip link del dev "+word(l.Name))
	}
	return nil
}

func aboutLink(l spec.Link) string {
	switch l.Kind {
	case spec.Bridge:
		return "The bridge that containers are plugged into. Its MTU is set to something else first: otherwise it\nwould follow its ports. The alias says whose it is."
	case spec.VXLAN:
		if l.Master == "" {
			return "The VXLAN device: routes lead into it."
		}
		return "The VXLAN device, a port of the bridge."
	case spec.Port:
		if l.Moves {
			return "The interface, a port of the bridge. Before, the bridge gets its MAC address, and what ip addr and ip route\nshow of " + l.Name + ": flock moves all of it in one system call, in which no connection is lost."
		}
		return "The interface, a port of the bridge. It must have no addresses, and no other way to where the bridge's\nports lead: nothing would end the loop."
	case spec.VLAN:
		return "Frames of " + l.Tunnel.Dev + " with the tag " + num(int(l.Tunnel.VNI)) + ", a port of the bridge."
	case spec.WireGuard:
		return "The WireGuard device. Its key pair is made on this server and never leaves it."
	case spec.UDP:
		return "The TUN device. A process of flock's agent sends each of its packets in one UDP datagram to port " + strconv.Itoa(int(l.Tunnel.Port)) + " of the\n" +
			"member that has the destination, and back. No command does that: without it nothing passes. Between two\n" +
			"members socat comes near: socat UDP:MEMBER:PORT,bind=:PORT TUN,tun-name=" + l.Name + ",iff-no-pi,iff-up"
	}
	return "The tunnel device."
}

// newLink are the commands that make l.
func (w *writer) newLink(l spec.Link) []string {
	name, t := word(l.Name), l.Tunnel
	if t == nil {
		t = &spec.Tunnel{}
	}
	add := []string{"ip link add name", name, option("address", l.MAC), option("mtu", num(l.MTU)), "type", l.Kind}
	switch l.Kind {
	case spec.Bridge:
		add = append(add, "forward_delay 0 stp_state 0")
	case spec.VXLAN:
		learning := ""
		if t.Static {
			learning = "nolearning"
		}
		gbp := ""
		if t.GBP {
			gbp = "gbp"
		}
		add = append(add, "id", num(int(t.VNI)), "dstport", num(int(t.Port)), option("local", text(t.Local)), option("group", text(t.Group)),
			option("dev", t.Dev), option("ttl", num(int(t.TTL))), learning, gbp)
	case spec.GRE, spec.IP6GRE, spec.IPIP:
		add = append(add, tunnelWords(l.Kind, t)...)
	case spec.VLAN:
		add = []string{"ip link add link", word(t.Dev), "name", name, option("address", l.MAC), option("mtu", num(l.MTU)), "type vlan id", num(int(t.VNI)), "loose_binding on"}
	case spec.UDP:
		add = []string{"ip tuntap add dev", name, "mode tun"}
	}
	out := []string{line(add...), "ip link set dev " + name + " alias " + word(spec.Alias(w.full.Cluster, l.Network))}
	switch {
	case l.Kind == spec.Bridge && l.MTU != 0:
		out = append(out, "ip link set dev "+name+" mtu "+num(l.MTU-1), "ip link set dev "+name+" mtu "+num(l.MTU))
	case l.Kind == spec.UDP && l.MTU != 0:
		out = append(out, "ip link set dev "+name+" mtu "+num(l.MTU))
	}
	if l.Master != "" {
		out = append(out, "ip link set dev "+name+" master "+word(l.Master))
	}
	return out
}

func tunnelWords(kind string, t *spec.Tunnel) []string {
	out := []string{option("local", text(t.Local)), option("remote", text(t.Remote)), option("dev", t.Dev)}
	ttl := "inherit"
	if t.TTL != 0 {
		ttl = num(int(t.TTL))
	}
	out = append(out, "ttl "+ttl)
	if t.Key != 0 {
		out = append(out, "key "+strconv.FormatUint(uint64(t.Key), 10))
	}
	switch kind {
	case spec.IP6GRE:
		out = append(out, "encaplimit none")
	case spec.IPIP:
		out = append(out, "mode ipip pmtudisc")
	default:
		out = append(out, "pmtudisc")
	}
	return out
}

// addresses are in the order in which the kernel lists them as flock wants it: the
// network's own first, those of one host behind it.
func (w *writer) addresses() error {
	list := slices.SortedFunc(slices.Values(w.own.Addrs), func(a, b spec.Addr) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), byTurn(a.Prefix, b.Prefix))
	})
	var commands []string
	for _, a := range list {
		commands = append(commands, "ip addr add "+a.Prefix.String()+" "+line(w.addrWords(a), "dev", word(a.Link)))
	}
	if len(commands) == 0 {
		return nil
	}
	about := "The server's address."
	if len(w.own.Gateways) > 0 {
		about = "The server's address, and those that it answers to besides: the gateway's, which every member has, and the\nresolver's, which the member that runs DHCP has."
	}
	w.build(about, commands...)
	return nil
}

// byTurn puts IPv4 first, and the widest first in the listing: the kernel puts a new IPv4
// address behind the others, a new IPv6 address before them.
func byTurn(a, b netip.Prefix) int {
	c := cmp.Or(a.Bits()-b.Bits(), a.Addr().Compare(b.Addr()))
	switch {
	case a.Addr().Is4() != b.Addr().Is4():
		return a.Addr().BitLen() - b.Addr().BitLen()
	case a.Addr().Is4():
		return c
	}
	return -c
}

func (w *writer) addrWords(a spec.Addr) string {
	switch {
	case a.Prefix.Addr().Is4() && a.Prefix.Bits() < 31:
		return "brd +"
	case a.Prefix.Addr().Is4():
		return ""
	case a.Prefix.IsSingleIP() && w.kindOf(a.Link) == spec.Bridge:
		return "preferred_lft 0 nodad" // never a source: every member has it
	}
	return "nodad"
}

func (w *writer) kindOf(link string) string {
	for _, l := range w.own.Links {
		if l.Name == link {
			return l.Kind
		}
	}
	return ""
}

// neighbours are permanent neighbours and forwarding entries.
func (w *writer) neighbours() error {
	var commands []string
	for _, n := range slices.SortedFunc(slices.Values(w.own.Neighs), func(a, b spec.Neigh) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.IP.Compare(b.IP))
	}) {
		commands = append(commands, line("ip neigh add", n.IP.String(), "lladdr", n.MAC, "dev", word(n.Link), "nud permanent"))
	}
	if len(commands) > 0 {
		w.build("The other members' devices: nobody has to ask for them.", commands...)
	}
	flood, static := []string(nil), []string(nil)
	for _, f := range w.own.AllFDB() {
		to := &static
		verb := "replace"
		if f.MAC == spec.ZeroMAC {
			to, verb = &flood, "append"
		}
		*to = append(*to, line("bridge fdb", verb, f.MAC, "dev", word(f.Link), "dst", f.Dst.String(), "self permanent"))
	}
	if len(static) > 0 {
		w.build("Where the other members' devices are in the underlay.", static...)
	}
	if len(flood) > 0 {
		w.build("Who gets frames to unknown destinations, broadcasts and multicasts: every other member.", flood...)
	}
	return nil
}

// raise sets the devices up, when all that stands on them is in place.
func (w *writer) raise() error {
	var commands []string
	for _, l := range w.own.Links {
		commands = append(commands, "ip link set dev "+word(l.Name)+" up")
	}
	if len(commands) > 0 {
		slices.Sort(commands)
		w.build("Up, now that the filters are in place.", commands...)
	}
	return nil
}

// routes are those through devices of the network, and those by others.
func (w *writer) routes() error {
	list := slices.SortedFunc(slices.Values(w.own.Routes), func(a, b spec.Route) int {
		return cmp.Or(boolean(a.Unreachable)-boolean(b.Unreachable), boolean(a.Via.IsValid())-boolean(b.Via.IsValid()), a.Dst.Compare(b.Dst))
	})
	var lead, refuse, remove []string
	for _, r := range list {
		words := routeWords(r)
		if r.Unreachable {
			refuse = append(refuse, "ip route add "+words)
		} else {
			lead = append(lead, "ip route add "+words)
		}
		if w.kindOf(r.Dev) == "" {
			remove = append(remove, "ip route del "+words)
		}
	}
	if len(lead) > 0 {
		w.build("Routes to the other members' subnets. Protocol "+num(spec.RouteProto)+" marks them as flock's.", lead...)
	}
	if len(refuse) > 0 {
		w.build("While nothing here has the own subnet, packets to it are refused instead of sent out by the default route.", refuse...)
	}
	if len(remove) > 0 {
		w.undo("Routes that go with no device.", remove...)
	}
	return nil
}

func routeWords(r spec.Route) string {
	if r.Unreachable {
		return "unreachable " + r.Dst.String() + " metric " + num(spec.UnreachableMetric) + " proto " + num(int(r.Proto))
	}
	onlink := ""
	if r.Onlink {
		onlink = "onlink"
	}
	return line(r.Dst.String(), option("via", text(r.Via)), "dev", word(r.Dev), onlink, option("src", text(r.Src)), option("mtu", num(r.MTU)), "proto", num(int(r.Proto)))
}

func boolean(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func num(n int) string { return strconv.Itoa(n) }

// text is an address, "" for none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

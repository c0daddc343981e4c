package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/pool"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// Complete fills in every default and deals out everything that is missing, and
// refuses a cluster that does not make sense. Nothing that is set is changed: a
// complete cluster comes out as it went in.
func Complete(c *state.Cluster) error {
	if err := ground.BirthNames(c); err != nil {
		return err
	}
	for _, g := range c.Gone {
		if err := option.CheckLogin(g.Way()); err != nil {
			return ground.Locate("gone "+g.Name, err)
		}
	}
	for _, name := range c.ServerNames() {
		s := c.Servers[name]
		s.Subnet = BridgeAddr(s.Subnet) // as setsubnet takes it
		if err := CheckServer(c, name, s); err != nil {
			return ground.Locate("server "+name, err)
		}
	}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		kind, ok := kindOf(n)
		if !ok {
			return unknownKind(name, n)
		}
		if err := CheckNetworkName(name); err != nil {
			return ground.OfNetwork(name, err)
		}
		if err := option.CheckValues(n); err != nil {
			return ground.OfNetwork(name, err)
		}
		if err := errors.Join(checkMembers(c, n), ground.CheckMoves(n, Bridge)); err != nil {
			return ground.OfNetwork(name, err)
		}
		if err := FillIn(c, name, n); err != nil {
			return ground.OfNetwork(name, err)
		}
		if err := deal(c, n, kind); err != nil {
			if full := (*pool.FullError)(nil); errors.As(err, &full) {
				err = hint.With(err, "", full.Next(c, name))
			}
			if narrow := (*ground.NarrowError)(nil); errors.As(err, &narrow) {
				err = hint.With(err, "", narrow.Next(name, n, kind.Tunnel))
			}
			return ground.OfNetwork(name, err)
		}
	}
	if err := CheckOverlaps(c); err != nil {
		return err
	}
	if err := checkPorts(c); err != nil {
		return err
	}
	if _, err := stackedLast(c); err != nil {
		return err
	}
	if err := segment.CheckAttached(c); err != nil {
		return err
	}
	return checkShares(c)
}

// unknownKind is the error about a network whose type nobody knows, or that is a tunnel and
// has a type that tunnels do not have.
func unknownKind(name string, n *state.Network) error {
	if n.Tunnel && slices.Contains(kindNames(), n.Type) {
		return hint.Errorf("network "+name+", tunnel", "leave tunnel away, or type = one of: "+ground.JoinWords(TunnelTypes()),
			"create network %s: tunnel = true is for tunnels, and %s is not a type of tunnels", name, n.Type)
	}
	return hint.Errorf("network "+name+", type", "one of: "+ground.JoinWords(kindNames()), "create network %s: unknown type %q", name, n.Type)
}

// FillIn refuses what n's kind does not take, and fills in its defaults.
func FillIn(c *state.Cluster, name string, n *state.Network) error {
	kind, _ := kindOf(n)
	if err := kind.refuse(n); err != nil {
		return err
	}
	return kind.complete(c, name, n)
}

// checkMembers refuses members that the cluster does not have, and those that are
// named twice.
func checkMembers(c *state.Cluster, n *state.Network) error {
	member := make(map[string]bool, len(n.Members))
	for _, text := range n.Members {
		m, err := state.ParseMember(text)
		if err != nil {
			return hint.Pin(err, "members")
		}
		if member[m.Server] {
			return hint.Errorf("members", "leave one of them away", "%s is a member twice", m.Server)
		}
		if c.Servers[m.Server] == nil {
			return hint.Pin(ground.UnknownServer(m.Server), "members")
		}
		member[m.Server] = true
	}
	return nil
}

// deal is allocate, and then what Docker hands out.
func deal(c *state.Cluster, n *state.Network, kind *Kind) error {
	if err := allocate(n, kind); err != nil {
		return err
	}
	return segment.DealDocker(c, n, kind.segment)
}

// allocate allocates to members that have nothing yet, forgets servers that are
// no longer members, and allocates again what does not fit the network (after it was given
// another subnet).
func allocate(n *state.Network, kind *Kind) error {
	member := make(map[string]bool, len(n.Members))
	for _, m := range n.Members {
		member[ground.ServerOf(m)] = true
	}
	again := map[string]bool{}
	for server, a := range n.Allocated {
		switch {
		case !member[server]:
			delete(n.Allocated, server)
		case kind.fits(n, a):
		case kind.Tunnel || kind.BGP:
			delete(n.Allocated, server)
		default:
			n.Allocated[server], again[server] = fitting(n, a), true
		}
	}
	if err := checkDealt(n); err != nil {
		return err
	}
	var fresh []string
	for _, m := range n.Members {
		if server := ground.ServerOf(m); n.Allocated[server] == nil || again[server] {
			fresh = append(fresh, server)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if n.Allocated == nil {
		n.Allocated = make(map[string]*state.Allocation, len(fresh))
	}
	return kind.allocate(n, fresh)
}

// checkDealt refuses two members with one number (hence one MAC address) or one address.
// Only an edit of the file by hand makes that.
func checkDealt(n *state.Network) error {
	ids, addrs := map[uint16]string{}, map[netip.Addr]string{}
	twice := func(server, other, what string) error {
		return hint.Errorf("", "delete the lines allocated."+server+" of the network from the cluster file, then flock apply",
			"%s and %s were dealt the same %s", other, server, what)
	}
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		a := n.Allocated[server]
		if other, taken := ids[a.ID]; taken {
			return twice(server, other, fmt.Sprintf("id %d", a.ID))
		}
		ids[a.ID] = server
		for _, addr := range a.Addrs {
			if other, taken := addrs[addr]; taken && addr.IsValid() {
				return twice(server, other, "address "+addr.String())
			}
			addrs[addr] = server
		}
	}
	return nil
}

// CheckOverlaps refuses prefixes of the cluster that overlap each other. Prefixes
// nest or are apart, so that in order of first address neighbours tell all.
func CheckOverlaps(c *state.Cluster) error {
	list := ground.Uses(c)
	slices.SortStableFunc(list, ground.ByAddr)
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.Prefix.Overlaps(b.Prefix) {
			return overlap(c, b, a)
		}
	}
	return nil
}

// CheckNewcomer is checkOverlaps for what one edit brings: the newcomer is to
// blame, whatever its address.
func CheckNewcomer(c *state.Cluster, by string) error {
	list := ground.Uses(c)
	for _, u := range list {
		for _, other := range list {
			if u.By == by && other.By != by && u.Prefix.Overlaps(other.Prefix) {
				return overlap(c, u, other)
			}
		}
	}
	return nil
}

func overlap(c *state.Cluster, u, other ground.Use) error {
	s := ground.OwnSpace
	if n := c.Networks[u.Network]; n != nil {
		s = spaceOf(n)
	}
	if u.Mesh {
		s = ground.InsideSpace
	}
	return hint.Errorf(u.By, "choose another subnet"+s.Example(c, u.Prefix),
		"%s (%s) overlaps %s (%s)", u.Prefix, u.By, other.Prefix, other.By)
}

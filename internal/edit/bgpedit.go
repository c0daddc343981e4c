package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/state"
)

// BGPOptions are the flags of createbgp.
type BGPOptions struct {
	AS   uint32 // --as; 0: not given
	Mode string // --mode, state.Mesh or state.Reflector; "": mesh
	Hold *int64 // --hold, seconds; nil: not given
	BFD  int    // --bfd, milliseconds; 0: not given
}

// CreateBGP writes a new BGP network down, with its first member, the anchor: the
// first reflector where there are such, otherwise a member as the others that join.
func CreateBGP(c *state.Cluster, name, anchor string, o BGPOptions) error {
	if old := c.Networks[name]; old != nil {
		return sameBGP(name, old, anchor, o)
	}
	if err := freeName(c, "create network "+name, name); err != nil {
		return err
	}
	n := &state.Network{Type: network.BGP, AS: o.AS, Mode: o.Mode, BFD: o.BFD}
	if o.Hold != nil {
		if err := option.CheckHold(*o.Hold); err != nil {
			return hint.With(fmt.Errorf("create network %s: %w", name, err), "network "+name, "")
		}
		n.Hold = int(*o.Hold)
	}
	if c.Networks == nil {
		c.Networks = map[string]*state.Network{}
	}
	c.Networks[name] = n
	return joinBGP(c, name, n, []string{anchor})
}

// joinBGP is join: who is in another network is the newcomer's mistake here.
func joinBGP(c *state.Cluster, name string, n *state.Network, members []string) error {
	if err := network.NotInOthers(c, name, members); err != nil {
		return hint.With(err, "network "+name, "")
	}
	return join(c, name, n, members)
}

// bgpOf finds a BGP network.
func bgpOf(c *state.Cluster, name string) (*state.Network, error) {
	n := c.Networks[name]
	switch {
	case n == nil && len(c.Networks) == 0:
		return nil, hint.Unknown("network", name, "flock createbgp "+name+" SERVER")
	case n == nil:
		return nil, hint.Unknown("network", name, "flock listnetworks, or flock createbgp "+name+" SERVER")
	case !network.KindOf(n).BGP:
		return nil, hint.Errorf("network "+name, "flock addnetwork "+name+" SERVER, flock delnetwork "+name+" SERVER, or flock removenetwork "+name, "%s is a %s network and speaks no BGP", name, n.Type)
	}
	return n, nil
}

// JoinBGP makes members part of a BGP network, as Join does. In a network with
// reflectors they reflect too as long as there are not two.
func JoinBGP(c *state.Cluster, name string, members []string) error {
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	for _, text := range members {
		server := ground.ServerOf(text)
		if n.Mode == state.Reflector && len(n.Reflectors) < peering.FewReflectors && !slices.Contains(n.Reflectors, server) && !ground.HasMember(n, server) {
			n.Reflectors = append(n.Reflectors, server)
		}
	}
	return joinBGP(c, name, n, members)
}

// AddReflectors makes members reflect routes. A full mesh goes when the sessions
// with them are up (FinishSessions).
func AddReflectors(c *state.Cluster, name string, servers []string) error {
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	now := state.Sessions{Mode: n.Mode, Reflectors: slices.Clone(n.Reflectors)}
	for _, server := range servers {
		if err := isMemberOf(c, name, n, server); err != nil {
			return err
		}
		if !slices.Contains(n.Reflectors, server) {
			n.Reflectors = append(n.Reflectors, server)
		}
	}
	n.Mode = state.Reflector
	holdSessions(n, now)
	return nil
}

// DelReflectors lets members reflect no more; without any the network is a full
// mesh again.
func DelReflectors(c *state.Cluster, name string, servers []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	now := state.Sessions{Mode: n.Mode, Reflectors: slices.Clone(n.Reflectors)}
	for _, server := range servers {
		n.Reflectors = slices.DeleteFunc(n.Reflectors, func(r string) bool { return r == server })
	}
	withoutReflectors(n)
	holdSessions(n, now)
	return nil
}

// holdSessions keeps the sessions of was beside those of now, if they are others
// and there is somebody to have them with.
func holdSessions(n *state.Network, was state.Sessions) {
	if was.Mode == n.Mode && slices.Equal(was.Reflectors, n.Reflectors) || len(n.Members) < 2 {
		return
	}
	n.Before = &was
}

// withoutReflectors makes a network that has no reflector left a full mesh.
func withoutReflectors(n *state.Network) {
	if len(n.Reflectors) == 0 {
		n.Mode, n.Reflectors = state.Mesh, nil
	}
}

// FinishSessions ends the sessions of before.
func FinishSessions(c *state.Cluster, name string) error {
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	n.Before = nil
	return nil
}

func isMemberOf(c *state.Cluster, name string, n *state.Network, server string) error {
	if c.Servers[server] == nil && server != network.Local {
		return hint.With(ground.UnknownServer(server), "network "+name, "")
	}
	if !ground.HasMember(n, server) {
		return hint.Errorf("network "+name, "flock addbgp "+name+" peer "+server, "%s is not a member of %s", server, name)
	}
	return nil
}

// LeaveBGP takes servers out of a BGP network, with what they share and the
// externals they talk to.
func LeaveBGP(c *state.Cluster, name string, servers []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	if err := lastReflectors(name, n, servers); err != nil {
		return err
	}
	return leave(name, n, servers)
}

// lastReflectors refuses that all reflectors leave at once where others stay: those have
// sessions with them alone, and no route between them until new ones are up.
func lastReflectors(name string, n *state.Network, servers []string) error {
	stay := 0
	for _, m := range n.Members {
		if !slices.Contains(servers, ground.ServerOf(m)) {
			stay++
		}
	}
	goes := func(o state.Sessions) bool {
		return o.Mode == state.Reflector && !slices.ContainsFunc(o.Reflectors, func(r string) bool { return !slices.Contains(servers, r) })
	}
	switch {
	case stay < 2:
	case n.Before != nil && goes(*n.Before):
		return hint.Errorf("network "+name, "flock apply "+name, "%s: the others may still have their routes by %s alone, %s", name, ground.JoinWords(n.Before.Reflectors), network.Settling)
	case n.Before == nil && goes(state.Sessions{Mode: n.Mode, Reflectors: n.Reflectors}):
		return hint.Errorf("network "+name, "flock delbgp "+name+" reflector "+strings.Join(n.Reflectors, " ")+", which keeps all routes, or flock addbgp "+name+" reflector SERVER",
			"%s reflects for %s alone: without it the others have no sessions", ground.JoinWords(n.Reflectors), name)
	}
	return nil
}

// forgetSpeaker ends what a server that leaves n was there.
func forgetSpeaker(n *state.Network, server string) {
	is := func(s string) bool { return s == server }
	reflected := slices.Contains(n.Reflectors, server)
	n.Reflectors = slices.DeleteFunc(n.Reflectors, is)
	if n.Before != nil {
		n.Before.Reflectors = slices.DeleteFunc(n.Before.Reflectors, is)
		if n.Before.Mode == state.Reflector && len(n.Before.Reflectors) == 0 {
			n.Before = nil
		}
	}
	if reflected {
		withoutReflectors(n)
	}
	n.Externals = slices.DeleteFunc(n.Externals, func(e state.External) bool { return e.Server == server })
}

// ShareBGP lets members share container subnets (SERVER:CIDR) by BGP; with anycast several
// may have the same, and each announces it while it has it.
func ShareBGP(c *state.Cluster, name string, shares []string, force, anycast bool) error {
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	if err := addShares(c, n, shares, force); err != nil || !anycast {
		return err
	}
	for _, text := range shares {
		if s, err := state.ParseShare(text); err == nil && !slices.Contains(n.Anycast, s.Subnet) {
			n.Anycast = append(n.Anycast, s.Subnet)
		}
	}
	return nil
}

// UnshareBGP ends the sharing of container subnets (SERVER:CIDR).
func UnshareBGP(c *state.Cluster, name string, shares []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	return delShares(name, n, shares)
}

// ExternalOptions are the flags of addbgp external; nil: not given, and what is
// there already stays.
type ExternalOptions struct {
	AS          *uint32
	Password    *string // the password's id; "": none
	Multihop    *int64
	TTLSecurity *bool
	BFD         *int // milliseconds; 0: none
	MaxPrefixes *int64
	Accept      *[]string
	Announce    *[]string
	Force       *bool
	Backup      *bool
	Shutdown    *bool
	LocalPref   *int64
	MED         *int64
	Prepend     *int64
	Communities *[]string
}

// AddExternal lets a member talk to a speaker outside, or changes what is said of
// it.
func AddExternal(c *state.Cluster, name, server string, address netip.Addr, o ExternalOptions) error {
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	if err := isMemberOf(c, name, n, server); err != nil {
		return err
	}
	at := network.ExternalAt(n, server, address)
	if at < 0 {
		if o.AS == nil {
			return hint.Errorf("network "+name, "flock addbgp "+name+" external "+server+" "+address.String()+" --as ASN", "of which AS is %s", address)
		}
		for _, m := range n.Members { // a router that is in the file already is a problem of its server, see peering
			if of := ground.ServerOf(m); c.Servers[of] != nil && c.Servers[of].Facts != nil && has(c.Servers[of].Facts, address) {
				return hint.Errorf("network "+name, "flock showbgp "+name, "%s is %s, a member of %s: they talk already", address, of, name)
			}
		}
		at = len(n.Externals)
		n.Externals = append(n.Externals, state.External{Server: server, Address: address})
	}
	e := &n.Externals[at]
	give(&e.AS, o.AS)
	give(&e.Password, o.Password)
	give(&e.TTLSecurity, o.TTLSecurity)
	give(&e.BFD, o.BFD)
	give(&e.Accept, o.Accept)
	give(&e.Announce, o.Announce)
	give(&e.Force, o.Force)
	give(&e.Backup, o.Backup)
	give(&e.Shutdown, o.Shutdown)
	give(&e.Communities, o.Communities)
	if err := o.prefer(e); err != nil {
		return hint.With(err, "network "+name, "")
	}
	for _, v := range []struct {
		to   *int
		from *int64
		flag string
	}{{&e.Multihop, o.Multihop, "--multihop"}, {&e.MaxPrefixes, o.MaxPrefixes, "--max-prefixes"}} {
		if v.from == nil {
			continue
		}
		if *v.from < 0 || *v.from > 1<<31-1 {
			return hint.Errorf("network "+name, v.flag+" with a number above 0, 0 for none", "%s %d is out of range", v.flag, *v.from)
		}
		*v.to = int(*v.from)
	}
	return nil
}

// prefer sets how much e is preferred.
func (o ExternalOptions) prefer(e *state.External) error {
	pref, med, prepend := int64(e.LocalPref), int64(e.MED), int64(e.Prepend)
	give(&pref, o.LocalPref)
	give(&med, o.MED)
	give(&prepend, o.Prepend)
	if err := option.CheckPreference(pref, med, prepend); err != nil {
		return err
	}
	e.LocalPref, e.MED, e.Prepend = uint32(pref), uint32(med), int(prepend) //nolint:gosec // checked
	return nil
}

func give[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// DelExternal ends a member's session with a speaker outside.
func DelExternal(c *state.Cluster, name, server string, address netip.Addr) error {
	if isGone(c, name) {
		return nil
	}
	n, err := bgpOf(c, name)
	if err != nil {
		return err
	}
	if at := network.ExternalAt(n, server, address); at >= 0 {
		n.Externals = slices.Delete(n.Externals, at, at+1)
	}
	if len(n.Externals) == 0 {
		n.Externals = nil
	}
	return nil
}

// RemoveBGP takes a BGP network out, with all its members.
func RemoveBGP(c *state.Cluster, name string) error {
	if isGone(c, name) {
		return nil
	}
	if _, err := bgpOf(c, name); err != nil {
		return err
	}
	return Remove(c, name)
}

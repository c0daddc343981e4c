package trace

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// Protocols of IP by their numbers (IANA).
const (
	protoICMP  = 1
	protoIPIP  = 4
	protoTCP   = 6
	protoUDP   = 17
	protoGRE   = 47
	protoICMP6 = 58
)

// End is where a packet comes from or goes to.
type End struct {
	Text      string // as it was written
	Server    string // "": not known before the servers are asked
	Container string // as it was written, then KIND/NAME
	Addr      netip.Addr
	Network   string   // that the address is of; "": none of the cluster's
	among     []string // servers one of which has the address, maybe in a container
}

// Trace is one packet's way, as far as it is known.
type Trace struct {
	From, To End
	Network  string // by which From and To reach each other; "" if the addresses decide
	Protocol int    // of IP: ICMP unless it was said
	Port     int    // TCP's or UDP's

	c        *state.Cluster
	compiled *ground.Compiled
	join     Join
	only     string // the network that it is to go by; "": any
	all      map[place]*facts
	sent     *sent
	read     int // bytes of answers
}

// place is a server, or a container on it.
type place struct{ server, container string }

// Join is the command that makes a server a member of the network n, called name.
type Join func(n *state.Network, name, server string) string

// New understands what is to be traced: FROM, TO, and PROTO/PORT, "" for an echo; by a network,
// where both share several, "" for the first. The error says what is wrong with them; nothing needs to be asked for that.
func New(c *state.Cluster, compiled *ground.Compiled, join Join, from, to, proto, by string) (*Trace, error) {
	t := &Trace{c: c, compiled: compiled, join: join, only: by, Protocol: protoICMP, all: map[place]*facts{}}
	var err error
	if by != "" && c.Networks[by] == nil {
		return nil, hint.Pin(hint.Unknown("network", by, "flock listnetworks"), "--network")
	}
	if t.From, err = t.end(from); err == nil {
		t.To, err = t.end(to)
	}
	if err == nil {
		err = t.protocol(proto)
	}
	if err == nil {
		err = cmp.Or(t.between(), t.gateway())
	}
	if err != nil {
		return nil, err
	}
	if t.To.Addr.Is6() && t.Protocol == protoICMP {
		t.Protocol = protoICMP6
	}
	return t, nil
}

func (t *Trace) protocol(text string) error {
	if text == "" || text == "icmp" {
		return nil
	}
	proto, port, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	number, known := map[string]int{"tcp": protoTCP, "udp": protoUDP}[proto]
	if err != nil || n == 0 || !known {
		return hint.Errorf("", "tcp/443, udp/53, or nothing for an ICMP echo", "%q is no protocol with a port", text)
	}
	t.Protocol, t.Port = number, int(n)
	return nil
}

// end understands one of both: a server, SERVER:CONTAINER, or an address.
func (t *Trace) end(text string) (End, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		e := End{Text: text, Addr: a.Unmap()}
		t.place(&e)
		return e, nil
	}
	server, container, has := strings.Cut(text, ":")
	if t.c.Servers[server] == nil {
		next := "flock listservers"
		if !has {
			next = "flock listnet SERVER, if it is a container: flock trace takes SERVER:" + server
		}
		return End{}, hint.Unknown("server", server, next)
	}
	e := End{Text: text, Server: server, Container: container}
	if a, err := netip.ParseAddr(strings.Trim(container, "[]")); err == nil && has { // SERVER:ADDRESS
		e.Addr, e.Container = a, ""
		t.place(&e)
		e.Server, e.among = server, nil
	} else if has && container == "" {
		return End{}, hint.Errorf("", "flock listnet "+server, "%q names no container", text)
	}
	kinds := map[string]bool{}
	for _, a := range t.c.Servers[server].Attached {
		if a.Container != container && nameOf(a.Container) == container {
			kinds[server+":"+a.Container] = true
		}
	}
	if len(kinds) > 1 {
		return End{}, several(slices.Sorted(maps.Keys(kinds)), "%s has several containers %s", server, container)
	}
	return e, nil
}

// gateway refuses a From that is several servers' own.
func (t *Trace) gateway() error {
	var own []string
	for _, server := range t.From.among {
		if slices.ContainsFunc(t.compiled.Hosts[server].Addrs, func(a spec.Addr) bool { return a.Prefix.Addr() == t.From.Addr }) {
			own = append(own, server+":"+t.From.Addr.String())
		}
	}
	if len(own) < 2 {
		return nil
	}
	return several(own, "several servers have %s", t.From.Text)
}

// several is the error about what means more than one thing.
func several(choices []string, format string, args ...any) error {
	return hint.Errorf("", "one of: "+strings.Join(choices, ", "), format, args...)
}

// place says where the address of e is, by what is known before anybody is asked.
func (t *Trace) place(e *End) {
	server, own := t.owner(e.Addr)
	for _, name := range t.c.ServerNames() {
		for _, a := range t.compiled.Hosts[name].Attached {
			if server == "" && has(a.Addrs, e.Addr) {
				server, e.Container, own = name, a.Container, a.Network
			}
		}
	}
	longest := -1
	take := func(p netip.Prefix, network string, servers ...string) {
		if p.IsValid() && p.Contains(e.Addr) && p.Bits() > longest {
			longest, e.Network, e.among = p.Bits(), network, servers
		}
	}
	for _, name := range t.c.NetworkNames() {
		n := t.c.Networks[name]
		for _, p := range n.Subnets {
			take(p, name, t.members(name)...)
		}
		for server, a := range n.Allocated {
			for _, p := range a.Subnets {
				take(p, name, server)
			}
		}
		for _, text := range n.Shares {
			if share, err := state.ParseShare(text); err == nil {
				take(share.Subnet, name, share.Server)
			}
		}
	}
	for name, s := range t.c.Servers {
		take(s.Subnet.Masked(), "", name)
	}
	if t.c.Networks[own] != nil { // a server's own subnet is none
		e.Network = own
	}
	if server != "" {
		e.Server, e.among = server, nil
	}
}

func (t *Trace) members(network string) []string {
	var out []string
	for _, m := range t.c.Networks[network].Members {
		if server := ground.ServerOf(m); t.compiled.Hosts[server] != nil {
			out = append(out, server)
		}
	}
	return out
}

// owner is the server that has an address of its own, and the network that gave it; "" where
// none has it, or several have: a gateway is everywhere.
func (t *Trace) owner(a netip.Addr) (server, network string) {
	for name, h := range t.compiled.Hosts {
		for _, own := range h.Addrs {
			if own.Prefix.Addr() != a {
				continue
			}
			if server != "" && server != name {
				return "", ""
			}
			server = name
			for _, l := range h.Links {
				if l.Name == own.Link {
					network = l.Network
				}
			}
		}
	}
	if server != "" {
		return server, network
	}
	for _, name := range t.c.ServerNames() {
		if s := t.c.Servers[name]; s.Facts != nil {
			for _, i := range s.Facts.Interfaces {
				if has(i.Addrs, a) {
					return name, ""
				}
			}
		}
	}
	return "", ""
}

// between finds the network between two servers, and their addresses in it.
func (t *Trace) between() error {
	from, to := &t.From, &t.To
	if from.Addr.IsValid() && to.Addr.IsValid() && from.Addr.Is4() != to.Addr.Is4() {
		return hint.Errorf("", "name two addresses of one family", "%s and %s are of different families", from.Addr, to.Addr)
	}
	if from.Server == "" && from.among == nil {
		return hint.Errorf("", "flock listnetworks", "%s is of no network and of no server: a packet from there begins elsewhere", from.Text)
	}
	if to.Addr.IsValid() || from.Server == "" && to.Container != "" {
		if t.only != "" && to.Addr.IsValid() && to.Network != t.only {
			return hint.Errorf("--network", hint.Shell("flock", "trace", from.Text, to.Text), "the addresses decide: %s is not of %s", to.Addr, t.only)
		}
		t.Network = to.Network
		return nil
	}
	server := from.Server
	for _, s := range from.among { // which of them, it must be asked
		if server == "" || server == to.Server {
			server = s
		}
	}
	var common []string
	for _, name := range ground.Networks(t.c, to.Server) {
		if from.Network != "" && name != from.Network || t.only != "" && name != t.only {
			continue
		}
		if ground.HasMember(t.c.Networks[name], server) {
			common = append(common, name)
		}
	}
	if to.Server == from.Server && to.Container != "" {
		return nil
	}
	if len(common) == 0 && t.only != "" && (to.Server != from.Server || to.Container == "") {
		return hint.Errorf("--network", "flock listnetworks "+t.only, "%s is not between %s and %s", t.only, from.Text, to.Text)
	}
	if len(common) == 0 {
		next := "flock createnetwork NAME vxlan"
		if list := ground.Networks(t.c, server); len(list) > 0 {
			next = t.join(t.c.Networks[list[0]], list[0], to.Server)
		}
		if below, known := t.below(to.Server); known {
			next += ", or below all networks: " + hint.Shell("flock", "trace", from.Text, below.String())
		}
		return hint.Errorf("", next, "no network is between %s and %s", from.Text, to.Text)
	}
	if to.Container != "" {
		return nil // which of its addresses, it must be asked
	}
	if to.Server == server {
		return t.home(common)
	}
	return t.abroad(common, server)
}

// abroad finds the addresses of two servers in the first of the networks that has both.
func (t *Trace) abroad(common []string, server string) error {
	from, to := &t.From, &t.To
	for _, name := range common {
		if a, b, ok := t.addresses(name, server, to.Server, from.Addr); ok {
			t.Network, to.Addr, to.Network = name, b, name
			if from.Container == "" && !from.Addr.IsValid() {
				from.Addr = a
			}
			return nil
		}
	}
	return hint.Errorf("", "flock listnetworks "+common[0], "%s has no address in %s", to.Server, ground.JoinWords(common))
}

// home finds the address at which a container reaches the server that it is on.
func (t *Trace) home(common []string) error {
	from, to := &t.From, &t.To
	own, _ := t.owner(from.Addr)
	if from.Container == "" && (!from.Addr.IsValid() || own == to.Server) {
		return hint.Errorf("", hint.Shell("flock", "trace", to.Server+":CONTAINER", to.Server), "%s and %s are one server: nothing is between them", from.Text, to.Text)
	}
	host := t.compiled.Hosts[to.Server]
	for _, a := range host.Addrs {
		at := slices.IndexFunc(host.Links, func(l spec.Link) bool { return l.Name == a.Link })
		if at >= 0 && slices.Contains(common, host.Links[at].Network) && (!from.Addr.IsValid() || from.Addr.Is4() == a.Prefix.Addr().Is4()) {
			t.Network, to.Addr, to.Network = host.Links[at].Network, a.Prefix.Addr(), host.Links[at].Network
			return nil
		}
	}
	return hint.Errorf("", "flock listnetworks "+common[0], "%s has no address in %s", to.Server, ground.JoinWords(common))
}

func (t *Trace) below(server string) (netip.Addr, bool) {
	_, addr, _, ok := ground.DefaultUnderlay(server, t.c.Servers[server])
	return addr, ok
}

// addresses are those of two members in a network, of one family: that of like, if it is valid.
func (t *Trace) addresses(name, from, to string, like netip.Addr) (a, b netip.Addr, ok bool) {
	two := *t.c.Networks[name]
	two.Members = nil
	for _, m := range t.c.Networks[name].Members {
		if s := ground.ServerOf(m); s == from || s == to {
			two.Members = append(two.Members, m)
		}
	}
	c := *t.c
	c.Networks = map[string]*state.Network{name: &two}
	legs, _ := verify.Legs(&c, t.compiled, name, true)
	for _, l := range legs {
		if l.From == from && l.To == to && (!like.IsValid() || like.Is4() == l.Echo.To.Is4()) {
			return l.Echo.From, l.Echo.To, true
		}
	}
	return a, b, false
}

// found is a container's interface.
type found struct {
	container string
	spec.ContainerInterface
}

// containersNamed finds containers by NAME or KIND/NAME.
func containersNamed(list []spec.Container, name string) (out []spec.Container) {
	for _, c := range list {
		if c.Name != "" && (c.Name == name || nameOf(c.Name) == name) {
			out = append(out, c)
		}
	}
	return out
}

// containerWith finds the interface that has an address, or with port that leads to one on the
// server.
func containerWith(list []spec.Container, a netip.Addr, port string) *found {
	for _, c := range list {
		for _, i := range c.Interfaces {
			if a.IsValid() && has(i.Addrs, a) || port != "" && i.Port == port {
				return &found{c.Name, i}
			}
		}
	}
	return nil
}

func (e End) String() string {
	switch {
	case e.Container != "":
		return e.Server + ":" + nameOf(e.Container)
	case e.Server != "":
		return e.Server
	}
	return e.Text
}

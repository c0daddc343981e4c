package view

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// Server is a server as listservers prints it.
type Server struct {
	Name       string   `json:"name"`
	Address    string   `json:"address,omitempty"` // absent: from ssh's config
	User       string   `json:"user,omitempty"`
	Port       uint16   `json:"port,omitempty"`
	Identity   string   `json:"identity,omitempty"`
	Jump       string   `json:"jump,omitempty"`
	Interface  string   `json:"interface,omitempty"` // underlay
	Underlay   string   `json:"underlay,omitempty"`
	MTU        int      `json:"mtu,omitempty"` // of the underlay, bytes
	NAT        bool     `json:"nat"`
	Subnet     string   `json:"subnet,omitempty"` // own container bridge
	Adopt      string   `json:"adopt,omitempty"`  // the bridge of another program that has it
	Networks   []string `json:"networks"`
	Arch       string   `json:"arch,omitempty"`
	Init       string   `json:"init,omitempty"`
	Endpoint   string   `json:"endpoint,omitempty"`   // where WireGuard reaches it, if not at its underlay address
	WireGuard  string   `json:"wireguard,omitempty"`  // what makes its devices: kernel, userspace
	Generation uint64   `json:"generation,omitempty"` // last confirmed
	Confirmed  string   `json:"confirmed,omitempty"`  // when, RFC 3339
	Connected  string   `json:"connected,omitempty"`  // the socket of a connection of ssh's that commands go through
	State      string   `json:"state"`                // ready, pending, new
}

// States in listings.
const (
	StateReady   = "ready"
	StatePending = "pending"
	stateNew     = "new"
	stateEmpty   = "empty"
	StateBroken  = "broken"
	stateGone    = "gone"     // it left while it was away: something is on it
	stateTaken   = "replaced" // another machine has its place: something is on it
)

// Servers are the servers as listservers prints them, by name, then those that are gone. Pending are those that do
// not hold what the file says, sorted.
func Servers(c *state.Cluster, pending []string) []Server {
	members := ground.Memberships(c)
	out := []Server{}
	for _, name := range slices.SortedFunc(maps.Keys(c.Servers), screen.ByName) {
		s := c.Servers[name]
		v := Server{
			Name: name, Address: s.Address, User: s.User, Port: s.Port, Identity: s.Identity, Jump: s.Jump,
			NAT: s.NAT, Endpoint: s.Endpoint, Networks: OrEmpty(members[name]), State: StateReady,
		}
		if dev, addr, mtu, ok := ground.DefaultUnderlay(name, s); ok {
			v.Interface, v.Underlay, v.MTU = dev, addr.String(), mtu
		}
		if v.Interface == "" {
			v.Interface = s.Interface
		}
		if s.Subnet.IsValid() {
			v.Subnet, v.Adopt = s.Subnet.String(), s.Adopt
		}
		if s.Facts != nil {
			v.Arch, v.Init, v.WireGuard = s.Facts.Arch, s.Facts.Init, s.Facts.WireGuard
		} else {
			v.State = stateNew
		}
		if s.Confirmed != nil {
			v.Generation, v.Confirmed = s.Confirmed.Generation, s.Confirmed.Time.Format(time.RFC3339)
		}
		if _, found := slices.BinarySearch(pending, name); found {
			v.State = StatePending
		}
		out = append(out, v)
	}
	for _, g := range c.Gone {
		v := Server{Name: g.Name, Address: g.Address, User: g.User, Port: g.Port, Identity: g.Identity, Jump: g.Jump, Networks: []string{}, State: stateGone}
		if g.Replaced {
			v.State = stateTaken
		}
		out = append(out, v)
	}
	return out
}

// ServerTable has one row per server.
func (a *Page) ServerTable(views []Server) *screen.Table {
	t := &screen.Table{Whole: a.Wide(), Head: []string{"NAME", "ADDRESS", "INTERFACE", "UNDERLAY", "MTU", "NETWORKS", "STATE"}}
	if a.Wide() {
		t.Head = append(t.Head, "SUBNET", "ARCH", "INIT", "WIREGUARD", "ENDPOINT", "JUMP", "CONNECTED", "GENERATION", "CONFIRMED")
	}
	for _, v := range views {
		row := []string{v.Name, v.target(), v.Interface, v.Underlay, digits(v.MTU), strings.Join(v.Networks, " "), v.State}
		if a.Wide() {
			row = append(row, v.Subnet, v.Arch, v.Init, v.WireGuard, v.endpoint(), v.Jump, v.Connected, digits(v.Generation), v.Confirmed)
		}
		t.Add(row...)
	}
	return t
}

// ownSubnet is the server's own subnet, and whose bridge has it if it is not ours.
func (v *Server) ownSubnet() string {
	if v.Adopt == "" {
		return v.Subnet
	}
	return v.Subnet + " on " + v.Adopt
}

// target is the login as addserver takes it.
func (v *Server) target() string {
	if v.Address == "" {
		return ""
	}
	return target.Format(v.User, v.Address, v.Port)
}

// endpoint is where other servers find it by WireGuard.
func (v *Server) endpoint() string {
	if v.NAT {
		return "nat"
	}
	return v.Endpoint
}

// digits is a number for a table; 0 is unknown.
func digits[N int | uint8 | uint16 | uint32 | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

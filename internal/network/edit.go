package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/state"
)

// Options are the flags of createnetwork, in the words of the command line.
// Zero means: not given.
type Options struct {
	Subnets    []netip.Prefix // -s
	Interface  string         // -i
	Bridge     string         // -b
	VNI        uint32         // -v; SetVNI tells 0 from absent
	SetVNI     bool
	Port       int // -p; SetPort tells 0 from absent
	SetPort    bool
	Domain     string     // -d
	Group      netip.Addr // -m
	DHCPServer string     // -n
	MTU        int        // --mtu, bytes
	SetMTU     bool
	GBP        bool
	NoMasq     bool
	DHCP       string // state.DHCPSingle, state.DHCPDistributed, state.DHCPOff; "" is single
}

// AddServer writes a new server down. The name must be free and not reserved.
func AddServer(c *state.Cluster, name string, s state.Server) error { panic("todo") }

// DelServer takes a server out. A server that is a member of a network is
// refused unless force, which takes it out of those first.
func DelServer(c *state.Cluster, name string, force bool) error { panic("todo") }

// Create writes a new network of a kind down and fills in its defaults.
func Create(c *state.Cluster, name, kind string, o Options) error { panic("todo") }

// Join makes members (SERVER, SERVER:INTERFACE, SERVER:IP) part of a network. A
// member that is in it already, in the same way, is left as it is.
func Join(c *state.Cluster, name string, members []string) error { panic("todo") }

// Leave takes servers out of a network.
func Leave(c *state.Cluster, name string, servers []string) error { panic("todo") }

// Remove takes a network out, with all its members.
func Remove(c *state.Cluster, name string) error { panic("todo") }

// SetSubnet gives a server its own container bridge. The bridge has the first
// address of the prefix unless host bits name another; an invalid prefix takes
// the bridge away.
func SetSubnet(c *state.Cluster, server string, subnet netip.Prefix) error { panic("todo") }

package trace

import (
	"fmt"
	"net/netip"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// States of a hop.
const (
	Passes = "passes"
	Warns  = "warns" // something is not as it should be, and packets pass all the same
	Stops  = "stops"
)

// Hop is one object on the way.
type Hop struct {
	Where  string // server, or SERVER:CONTAINER
	Object string
	Says   string
	State  string
	Next   string // what mends it; "": nothing that a command could do
}

// Way is what the kernels say about a packet.
type Way struct {
	Hops    []Hop
	Needs   []Need // what must be asked before more can be said; then the rest is not complete
	Arrives bool   // by what they say
	Refusal error  // what was asked for makes no sense; nil: it does
	Leaves  bool   // it leaves the servers of the cluster: nobody can be asked further on
	passes  []passage
	src     netip.Addr
	asks    [][2]netip.Addr // who asks for whose MAC
	last    string          // server at which it arrives
	suspect kernel.Outcome  // of rules since the last passage
	nobody  bool            // nobody is known to have an address on the way, or was before it was asked for
	deaf    bool            // not all on the way could listen to the packet
	port    bool            // it arrives when it has left by a container's port
}

// Guilty is the object that stops the packet; nil: none does.
func (w *Way) Guilty() *Hop {
	for i := range w.Hops {
		if w.Hops[i].State == Stops {
			return &w.Hops[i]
		}
	}
	return nil
}

// passage is a device that the packet passes, where a packet socket can see it.
type passage struct {
	server, dev string
	index       int
	out         bool
	hidden      bool   // encrypted
	hop         int    // the last hop of before
	carrier     string // what carries it there: "UDP 4789 from 10.99.0.1 to 10.99.0.2"; "": nothing
	suspect     kernel.Outcome
}

// packet is one on its way; one that carries another has what happens when it arrives.
type packet struct {
	src, dst netip.Addr
	proto    int
	port     int
	network  string
	hidden   bool // what it carries cannot be seen
	carrier  string
	again    string // what has a peer begin anew where it is; "": nothing that a command could do
	arrive   func(server string, by *link)
}

// most objects that a packet may meet: a walk that is longer goes in a circle.
const most = 200

type walker struct {
	t *Trace
	*Way
	lacks  []Need
	silent string // a server that does not answer, and may have the address
}

// Walk follows the packet as far as it is known.
func (t *Trace) Walk() *Way {
	w := &walker{t: t, Way: &Way{}}
	w.begin()
	w.Needs = w.lacks
	if len(w.lacks) > 0 {
		w.Arrives = false
	}
	return w.Way
}

func (w *walker) ok(where, object, says string, args ...any) {
	w.hop(Passes, where, object, "", says, args)
}

func (w *walker) warn(where, object, next, says string, args ...any) {
	w.hop(Warns, where, object, next, says, args)
}

func (w *walker) fail(where, object, next, says string, args ...any) {
	w.hop(Stops, where, object, next, says, args)
}

func (w *walker) hop(state, where, object, next, says string, args []any) {
	w.Hops = append(w.Hops, Hop{Where: where, Object: object, Says: fmt.Sprintf(says, args...), State: state, Next: next})
}

// pass takes a packet by a device, and stops where rules of that device alone drop it: of one that leaves
// before a packet socket sees it, of one that comes after.
func (w *walker) pass(server string, l *link, out bool, p packet) bool {
	on := flow{packet: p, in: l}
	hook := kernel.Ingress
	if out {
		on, hook = flow{packet: p, out: l}, kernel.Egress
		if !w.filtered(server, hook, on) || !w.controlled(End{Server: server}, l, out, p) {
			return false
		}
	}
	w.passes = append(w.passes, passage{server: server, dev: l.Name, index: l.Index, out: out, hidden: p.hidden, hop: len(w.Hops), carrier: p.says(), suspect: w.suspect})
	w.suspect = kernel.Outcome{}
	return out || w.controlled(End{Server: server}, l, out, p) && w.filtered(server, hook, on)
}

// circles stops a packet that meets more objects than there can be on a way.
func (w *walker) circles(server string) bool {
	if len(w.Hops) > most {
		w.fail(server, "route", runOn(server, "ip", "route"), "the packet goes in a circle")
	}
	return len(w.Hops) > most
}

// begin starts where the packet is made.
func (w *walker) begin() {
	if !w.locate(&w.t.From) || !w.locate(&w.t.To) {
		return
	}
	t := w.t
	p := packet{dst: t.To.Addr, proto: t.Protocol, port: t.Port, network: t.To.Network}
	p.arrive = w.finish
	if t.From.Container != "" {
		w.leaveContainer(t.From, p)
		return
	}
	p.src = t.From.Addr
	f := w.base(t.From.Server, "")
	switch {
	case f == nil:
	case !p.src.IsValid() || f.holder(p.src) != nil:
		w.send(t.From.Server, p)
	default:
		w.fromBehind(f, p)
	}
}

// fromBehind starts at the server behind which a host is: that is not asked, and sends nothing.
func (w *walker) fromBehind(f *facts, p packet) {
	server := w.t.From.Server
	r, known := w.route(server, "", routeQuestion{To: p.src})
	l := f.at(r.Out)
	switch {
	case !known:
	case r.Errno != 0 || l == nil:
		w.Refusal = hint.Errorf("", "flock trace "+server+" "+hint.Shell(w.t.To.Text), "%s is not on %s, which has no route to it: a packet from there begins elsewhere", p.src, server)
	default:
		w.ok(server, "device "+l.Name, "%s is behind it", p.src)
		w.receive(server, l, p)
	}
}

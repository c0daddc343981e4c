package trace

import (
	"encoding/binary"
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// Need is what the walk lacks of one server.
type Need struct {
	Server     string
	container  string
	containers bool // the list of them
	base       bool
	peers      []spec.Link
	elements   []*kernel.Set
	routes     []routeQuestion
	filters    []kernel.Hook
	questions  []string
}

// mostRead are the bytes of answers that are kept of all servers together.
const mostRead = 1 << 27

// facts are those of a place, made when they are asked for.
func (t *Trace) facts(p place) *facts {
	if t.all[p] == nil {
		t.all[p] = &facts{}
	}
	return t.all[p]
}

// Request is what to ask a server.
func (t *Trace) Request(n Need) *spec.Request {
	want := &spec.Host{Cluster: t.c.Name, Store: t.c.ID, Server: n.Server}
	if n.containers {
		return &spec.Request{Op: spec.OpNets, Want: want}
	}
	r := &spec.TraceRequest{Inside: n.container, Questions: n.questions, Links: n.peers}
	if n.base {
		r.Questions = baseQuestions(t.endian(n.Server), n.container != "")
	}
	return &spec.Request{Op: spec.OpTrace, Want: want, Trace: r}
}

// Take takes in what a server answered.
func (t *Trace) Take(n Need, reply *spec.Reply) {
	f, o := t.facts(place{n.Server, n.container}), t.endian(n.Server)
	if n.containers {
		f.listed, f.Containers = true, reply.Containers
		for _, c := range f.Containers {
			for i := range c.Interfaces {
				if c.Name == "" { // what a server once heard of whom it does not know proves nothing
					c.Interfaces[i].Addrs = nil
				}
			}
		}
		return
	}
	r := reply.Trace
	for _, text := range r.Answers {
		if t.read += len(text); t.read > mostRead {
			t.facts(place{n.Server, ""}).silent = true
			return
		}
	}
	if f.Clock = r.Clock; r.Stopped && n.container != "" {
		f.base, f.Stopped, f.Rules = true, true, &kernel.Rules{Endian: o}
		return
	}
	switch {
	case n.base:
		f.takeBase(o, r.Answers, n.container != "")
	case n.peers != nil:
		f.peers, f.WG, f.Peers, f.Sessions = true, r.Links, r.Peers, r.Sessions
	case n.elements != nil:
		for i, s := range n.elements {
			list, _ := kernel.Messages(r.Answers[i])
			f.Rules.ReadSet(s, list)
		}
	case n.filters != nil:
		for i, h := range n.filters {
			list, _ := kernel.Messages(r.Answers[i])
			f.Control.Take(h, list)
		}
	default:
		for i, q := range n.routes {
			f.takeRoute(o, q, r.Answers[i])
		}
	}
}

// base are the facts of a place, nil when they must be asked for first.
func (w *walker) base(server, container string) *facts {
	f := w.t.facts(place{server, container})
	if !f.base {
		w.lack(Need{Server: server, container: container, base: true})
		return nil
	}
	unread, ask := f.Rules.Unread()
	if unread != nil {
		w.lack(Need{Server: server, container: container, elements: unread, questions: ask})
		return nil
	}
	return f
}

// route is the kernel's answer; false when it must be asked first.
func (w *walker) route(server, container string, q routeQuestion) (route, bool) {
	f := w.t.facts(place{server, container})
	if r, known := f.Routes[q]; known {
		return r, true
	}
	w.lack(Need{Server: server, container: container, routes: []routeQuestion{q}, questions: []string{q.message(w.t.endian(server))}})
	return route{}, false
}

// wgPeers are the facts with the peers of WireGuard devices, nil when they must be asked for first.
func (w *walker) wgPeers(server string) *facts {
	f := w.base(server, "")
	if f == nil || f.peers {
		return f
	}
	var devices []spec.Link
	for _, l := range w.t.compiled.Hosts[server].Links {
		if l.Kind == spec.WireGuard && f.link(l.Name) != nil {
			devices = append(devices, spec.Link{Name: l.Name, Kind: l.Kind})
		}
	}
	w.lack(Need{Server: server, peers: devices})
	return nil
}

// list are a server's containers; false when they must be asked for first.
func (w *walker) list(server string) ([]spec.Container, bool) {
	f := w.t.facts(place{server, ""})
	if !f.listed {
		w.lack(Need{Server: server, containers: true})
	}
	return f.Containers, f.listed
}

func (w *walker) lack(n Need) { w.lacks = append(w.lacks, n) }

func (t *Trace) endian(server string) binary.ByteOrder {
	if s := t.c.Servers[server]; s != nil && s.Facts != nil {
		return kernel.EndianOf(s.Facts.Arch)
	}
	return binary.LittleEndian
}

// routeQuestion asks the kernel which way a packet takes (RTM_GETROUTE): one of its own, or with
// In one that came by a device.
type routeQuestion struct {
	From, To netip.Addr
	In       int  // index of the device that it came by; 0: it is the server's own
	Match    bool // which entry of the table matches is asked
}

func (q routeQuestion) message(o binary.ByteOrder) string {
	header := make([]byte, 12)
	header[0], header[1] = kernel.FamilyOf(q.To), byte(q.To.BitLen())
	const fibMatch = 0x2000 // RTM_F_FIB_MATCH
	if q.Match {
		o.PutUint32(header[8:], fibMatch)
	}
	attrs := []kernel.Attr{{Kind: 1, Value: q.To.AsSlice()}} // RTA_DST
	if q.From.IsValid() && q.From.Is4() == q.To.Is4() {
		header[2] = byte(q.From.BitLen())
		attrs = append(attrs, kernel.Attr{Kind: 2, Value: q.From.AsSlice()}) // RTA_SRC
	}
	if q.In != 0 {
		attrs = append(attrs, kernel.Attr{Kind: 3, Value: kernel.Number(o, q.In)}) // RTA_IIF
	}
	return kernel.Question(o, kernel.GetRoute, 0, header, attrs...)
}

package view

import (
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/spec"
)

// SpeakerDoc is a server's BGP in -o json. Times are whole seconds.
type SpeakerDoc struct {
	Server     string            `json:"server"`
	Network    string            `json:"network,omitempty"`
	AS         uint32            `json:"as,omitempty"`
	RouterID   string            `json:"router_id,omitempty"`
	Uptime     int64             `json:"uptime"`     // of the daemon
	Restarting bool              `json:"restarting"` // routes from before the restart are not all confirmed yet
	Peers      []neighborDoc     `json:"peers"`
	Routes     []routeDoc        `json:"routes"`
	Problem    *contract.Problem `json:"problem,omitempty"` // why nothing is known
}

type neighborDoc struct {
	Address  string  `json:"address"`
	Name     string  `json:"name,omitempty"` // of the server; absent for routers
	AS       uint32  `json:"as"`
	External bool    `json:"external"`
	State    string  `json:"state"`    // Idle, Connect, Active, OpenSent, OpenConfirm, Established
	Uptime   int64   `json:"uptime"`   // of the session; 0: it is down
	Received int     `json:"received"` // prefixes
	Accepted int     `json:"accepted"`
	Sent     int     `json:"sent"`
	Why      string  `json:"why,omitempty"`
	BFD      *bfdDoc `json:"bfd,omitempty"`
	// Unmatched are rules of --accept that match nothing that it announces.
	Unmatched []string `json:"unmatched,omitempty"`
}

// bfdDoc is how a neighbour is watched. Times are milliseconds.
type bfdDoc struct {
	Up     bool   `json:"up"`
	Every  int    `json:"every"`            // between packets of the server
	Within int    `json:"within,omitempty"` // silence that ends the session; 0: not agreed on yet
	Why    string `json:"why,omitempty"`
}

type routeDoc struct {
	Prefix   string    `json:"prefix"`
	Local    bool      `json:"local"`  // the server announces it itself
	Kernel   bool      `json:"kernel"` // the kernel has it
	NextHops []string  `json:"next_hops"`
	ASPath   string    `json:"as_path"`
	Age      int64     `json:"age"`
	Why      string    `json:"why,omitempty"`
	Unused   string    `json:"unused,omitempty"` // why the kernel has the route and does not use it
	Paths    []pathDoc `json:"paths"`            // the best first
}

type pathDoc struct {
	NextHop string `json:"next_hop,omitempty"`
	From    string `json:"from,omitempty"` // the peer's address
	Name    string `json:"name,omitempty"` // the peer's server
	ASPath  string `json:"as_path"`
	Age     int64  `json:"age"`
	Used    bool   `json:"used"`
	Stale   bool   `json:"stale"` // its peer restarts
	// LocalPref is how much it is preferred to others, if that is not the usual 100.
	LocalPref *uint32 `json:"local_pref,omitempty"`
}

func speakerDocOf(s change.Speaker) SpeakerDoc {
	doc := SpeakerDoc{Server: s.Server, Peers: []neighborDoc{}, Routes: []routeDoc{}}
	if s.Status == nil {
		err := s.Err
		if err == nil {
			err = NoDaemon(s.Server)
		}
		doc.Problem = contract.ProblemOf(err, contract.Unreachable)
		return doc
	}
	doc.Network, doc.AS, doc.RouterID = s.Status.Network, s.Status.AS, s.Status.RouterID.String()
	doc.Uptime, doc.Restarting = seconds(s.Status.Uptime), s.Status.Restarts
	for _, n := range s.Status.Neighbors {
		doc.Peers = append(doc.Peers, neighborDocOf(n))
	}
	for _, r := range s.Status.Routes {
		doc.Routes = append(doc.Routes, routeDocOf(r))
	}
	return doc
}

func neighborDocOf(n spec.BGPNeighborStatus) neighborDoc {
	d := neighborDoc{
		Address: n.Addr.String(), Name: n.Name, AS: n.AS, External: n.External, State: n.State,
		Received: n.Received, Accepted: n.Accepted, Sent: n.Sent, Why: n.Why, Unmatched: rulesOf(n),
	}
	if b := n.BFD; b != nil {
		d.BFD = &bfdDoc{b.Up, b.Every, b.Within, b.Why}
	}
	if n.State == spec.BGPEstablished {
		d.Uptime = seconds(n.Uptime)
	}
	return d
}

func routeDocOf(r spec.BGPRoute) routeDoc {
	doc := routeDoc{Prefix: r.Prefix.String(), Local: r.Local, Kernel: r.Kernel, NextHops: []string{}, Why: r.Why, Unused: r.Unused, Paths: []pathDoc{}}
	for i, p := range usedPaths(r) {
		if i == 0 {
			doc.ASPath, doc.Age = p.ASPath, seconds(p.Age)
		}
		if p.NextHop.IsValid() {
			doc.NextHops = append(doc.NextHops, p.NextHop.String())
		}
	}
	for _, p := range r.Paths {
		d := pathDoc{Name: p.Name, ASPath: p.ASPath, Age: seconds(p.Age), Used: p.Used, Stale: p.Stale, LocalPref: p.LocalPref}
		if p.NextHop.IsValid() {
			d.NextHop = p.NextHop.String()
		}
		if p.From.IsValid() {
			d.From = p.From.String()
		}
		doc.Paths = append(doc.Paths, d)
	}
	return doc
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

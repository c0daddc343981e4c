package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/underlay"
)

// ProbeDoc is what -o json prints of a probing.
type ProbeDoc struct {
	Servers  []probedServer `json:"servers"`
	Paths    []probedPath   `json:"paths"`
	Findings []findingDoc   `json:"findings"`
	Advice   []adviceDoc    `json:"recommended"`
	Absent   []string       `json:"absent,omitempty"`  // servers that could not be asked
	Sampled  bool           `json:"sampled,omitempty"` // not all pairs were tried
}

type probedServer struct {
	Name    string  `json:"name"`
	Address string  `json:"address"`
	Device  string  `json:"device"`
	MTU     int     `json:"mtu"`
	NAT     bool    `json:"nat"`
	Clock   float64 `json:"clock_seconds"` // ahead of the workstation's
}

type probedPath struct {
	From     string            `json:"from"`
	To       string            `json:"to"`
	Sent     int               `json:"sent"`
	Heard    int               `json:"heard"`
	Median   float64           `json:"median_ms"`
	Passes   int               `json:"mtu,omitempty"`  // bytes that pass in one piece
	Hops     *int              `json:"hops,omitempty"` // routers between
	Seen     string            `json:"seen_as,omitempty"`
	Device   string            `json:"device,omitempty"` // by which packets leave
	Services map[string]string `json:"services"`         // passes, lost, filtered, refused
}

type findingDoc struct {
	What string `json:"what"`
	Next string `json:"next,omitempty"`
}

type adviceDoc struct {
	For      string   `json:"for"`
	Type     string   `json:"type"`
	Why      string   `json:"why"`
	Commands []string `json:"commands"`
}

// ProbeDocOf is p as JSON has it.
func ProbeDocOf(p *change.Probing) ProbeDoc {
	d := ProbeDoc{Servers: []probedServer{}, Paths: []probedPath{}, Findings: []findingDoc{}, Advice: []adviceDoc{}, Sampled: p.Sampled}
	for _, s := range p.Servers {
		d.Servers = append(d.Servers, probedServer{s.Name, s.Addr.String(), s.Device, s.MTU, s.NAT, time.Duration(s.Skew).Round(time.Millisecond).Seconds()})
	}
	for _, t := range p.Paths {
		one := probedPath{From: t.From, To: t.To, Sent: t.Echoed.Sent, Heard: t.Echoed.Heard, Median: float64(t.Echoed.Median) / float64(time.Millisecond), Passes: t.Echoed.Passes, Device: t.Route.Device, Services: map[string]string{}}
		if t.Hops >= 0 {
			one.Hops = &t.Hops
		}
		if t.Seen.IsValid() {
			one.Seen = t.Seen.String()
		}
		for s, o := range t.Services {
			one.Services[serviceKey(s)] = string(o)
		}
		d.Paths = append(d.Paths, one)
	}
	for _, f := range underlay.Findings(p.Servers, p.Services, p.Paths) {
		d.Findings = append(d.Findings, findingDoc(f))
	}
	for _, a := range p.Advice() {
		d.Advice = append(d.Advice, adviceDoc{a.For, a.Kind, a.Why, a.Commands})
	}
	for _, s := range p.Absent {
		d.Absent = append(d.Absent, s.Name)
	}
	return d
}

func serviceKey(s underlay.Service) string {
	switch {
	case s.Group.IsValid():
		return "multicast"
	case s.Protocol == underlay.UDP:
		return "udp/" + strconv.Itoa(s.Port)
	}
	return "protocol/" + strconv.Itoa(s.Protocol)
}

// PrintProbe prints the servers, the paths between them, what is in the way, what is
// recommended.
func (a *Page) PrintProbe(p *change.Probing) error {
	if err := probedServers(p).Write(a.Out, a.TableWidth()); err != nil || len(p.Servers) < 2 {
		return err
	}
	gap := "\n"
	if p.Sampled {
		gap = fmt.Sprintf("\neach server was tried with %d others; flock probe --all tries all pairs\n\n", underlay.SampledWith)
	}
	if err := a.Print(a.Out, "%s", screen.Ink(gap)); err != nil {
		return err
	}
	if err := probedPaths(p).Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	if err := a.printFindings(underlay.Findings(p.Servers, p.Services, p.Paths)); err != nil {
		return err
	}
	return a.printAdvice(p.Advice())
}

func probedServers(p *change.Probing) *screen.Table {
	t := &screen.Table{Head: []string{"SERVER", "ADDRESS", "DEVICE", "MTU"}}
	for _, s := range p.Servers {
		t.Add(s.Name, s.Addr.String(), s.Device, strconv.Itoa(s.MTU))
	}
	return t
}

// pathsMost is how many rows of paths are printed one by one; of more than these, those that
// look alike share a row.
const pathsMost = 30

// probedPaths has a row per pair where both directions are alike, and one per direction
// elsewhere.
func probedPaths(p *change.Probing) *screen.Table {
	t := &screen.Table{Head: []string{"PATH", "RTT", "MTU", "HOPS", "DOES NOT PASS"}}
	cells := map[[2]string][]string{}
	trip := map[[2]string]time.Duration{}
	for _, one := range p.Paths {
		key := [2]string{one.From, one.To}
		cells[key], trip[key] = pathCells(one, p.Services), one.Echoed.Median
	}
	var rows [][]string
	for _, one := range p.Paths {
		key, back := [2]string{one.From, one.To}, [2]string{one.To, one.From}
		alike := slices.Equal(cells[key], cells[back])
		if alike && screen.ByName(one.From, one.To) > 0 {
			continue
		}
		name := one.From + " > " + one.To
		if alike {
			name = one.From + " - " + one.To
		}
		rows = append(rows, append([]string{name, rtt(trip[key])}, cells[key]...))
	}
	if len(rows) > pathsMost {
		rows = joined(rows)
	}
	for _, r := range rows {
		t.Add(r...)
	}
	return t
}

// joined is one row for all that differ in nothing but their round trip.
func joined(rows [][]string) [][]string {
	of := map[string][][]string{}
	var order []string
	for _, r := range rows {
		key := strings.Join(r[2:], "\x00")
		if of[key] == nil {
			order = append(order, key)
		}
		of[key] = append(of[key], r)
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(len(of[b]), len(of[a])) })
	var out [][]string
	for _, key := range order {
		list := of[key]
		name := list[0][0]
		if len(list) > 1 {
			name = fmt.Sprintf("%s and %d more", name, len(list)-1)
		}
		out = append(out, append([]string{name}, list[0][1:]...))
	}
	return out
}

func rtt(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return millis(d) + screen.NoBreak + "ms"
}

// pathCells are the cells of a path but for its name and round trip.
func pathCells(p underlay.Path, services []underlay.Service) []string {
	mtu, hops := "", ""
	if p.Echoed.Passes > 0 {
		mtu = strconv.Itoa(p.Echoed.Passes)
	}
	if p.Hops >= 0 {
		hops = strconv.Itoa(p.Hops)
	}
	var not []string
	for _, s := range services {
		if o, tried := p.Services[s]; tried && o != underlay.Passes {
			not = append(not, serviceWord(s))
		}
	}
	if p.Dead() {
		not = []string{"nothing passes"}
	}
	return []string{mtu, hops, strings.Join(not, ", ")}
}

func serviceWord(s underlay.Service) string {
	switch s.Protocol {
	case underlay.IPIP:
		return "ipip"
	case underlay.GRE:
		return "gre"
	}
	return strings.ReplaceAll(s.String(), " ", screen.NoBreak)
}

func (a *Page) printFindings(list []underlay.Finding) error {
	for i, f := range list {
		line := "%s\n"
		if i == 0 {
			line = "\n%s\n"
		}
		if err := a.Print(a.Out, line, f.What); err != nil {
			return err
		}
		if f.Next != "" && (i+1 == len(list) || list[i+1].Next != f.Next) {
			if err := a.Print(a.Out, "  next: %s\n", f.Next); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Page) printAdvice(list []underlay.Advice) error {
	if len(list) == 0 {
		return a.Print(a.Out, "\nno type of network works between all of them\n")
	}
	for _, one := range list {
		if err := a.Print(a.Out, "\n%s: %s (%s)\n", one.For, one.Kind, one.Why); err != nil {
			return err
		}
		for _, line := range one.Commands {
			if err := a.Print(a.Out, "  %s\n", line); err != nil {
				return err
			}
		}
	}
	return nil
}

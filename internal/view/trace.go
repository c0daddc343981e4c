package view

import (
	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/trace"
)

// TraceDoc is what -o json prints of a trace.
type TraceDoc struct {
	Arrives bool      `json:"arrives"`
	Verdict string    `json:"verdict"`
	Next    string    `json:"next,omitempty"`
	Packet  string    `json:"packet,omitempty"` // what the packet that was sent showed
	Agrees  bool      `json:"agrees"`           // it did what the servers say
	Hops    []hopDoc  `json:"hops"`
	Seen    []seenDoc `json:"seen,omitempty"` // where the packet was seen
	Absent  []string  `json:"absent,omitempty"`
}

type hopDoc struct {
	Where  string `json:"where"` // server, or SERVER:CONTAINER
	Object string `json:"object"`
	Says   string `json:"says"`
	State  string `json:"state"` // passes, warns, stops
	Next   string `json:"next,omitempty"`
}

type seenDoc struct {
	Server string `json:"server"`
	Device string `json:"device"`
	Way    string `json:"way"`  // in, out
	What   string `json:"what"` // packet, question, answer, error
}

// TraceDocOf is t for -o json.
func TraceDocOf(t *change.Traced) TraceDoc {
	r := t.Result
	d := TraceDoc{Arrives: r.Reaches, Verdict: r.Verdict, Next: r.Next, Packet: r.Packet, Agrees: r.Agrees, Hops: []hopDoc{}}
	for _, h := range r.Hops {
		d.Hops = append(d.Hops, hopDoc(h))
	}
	for _, s := range r.Seen {
		way := "in"
		if s.Out {
			way = "out"
		}
		d.Seen = append(d.Seen, seenDoc{s.Server, s.Device, way, s.What()})
	}
	for _, s := range t.Absent {
		d.Absent = append(d.Absent, s.Name)
	}
	return d
}

// PrintTrace prints the objects on the way, one line each, to the guilty one, and the verdict.
func (a *Page) PrintTrace(t *change.Traced) error {
	table := &screen.Table{Head: []string{"WHERE", "OBJECT", "SAYS"}}
	for _, h := range t.Result.Hops {
		mark := ""
		switch h.State {
		case trace.Stops:
			mark = "STOPS: "
		case trace.Warns:
			mark = "amiss: "
		}
		table.Add(h.Where, h.Object, mark+h.Says)
	}
	if err := table.Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	r, colour := t.Result, green
	if !r.Reaches {
		colour = red
	}
	if err := a.Print(a.Out, "\n%s\n", a.paint(a.OutTTY, colour, r.Verdict)); err != nil {
		return err
	}
	for _, line := range []string{r.Packet, nextLine(r.Next)} {
		if line == "" {
			continue
		}
		if err := a.Print(a.Out, "  %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func nextLine(next string) string {
	if next == "" {
		return ""
	}
	return "next: " + next
}

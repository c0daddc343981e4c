package trace

import (
	"fmt"
	"slices"
)

// Result is what the kernels said, and what a packet showed.
type Result struct {
	*Way
	Sent     bool
	Refused  string // why it could not be sent, as the kernel says
	Answered bool
	Came     bool // it was seen where it should arrive
	Seen     []Sighting
	Verdict  string // a sentence
	Packet   string // another: what the packet showed
	Next     string
	Reaches  bool // it arrives
	Agrees   bool // the packet did what the kernels say
}

// Judge compares what the kernels say with what was heard, by server.
func (t *Trace) Judge(w *Way, refused string, heard map[string][]string) *Result {
	r := &Result{Way: w, Sent: t.sent != nil, Refused: refused}
	if t.sent != nil {
		for _, s := range []string{t.From.Server, t.To.Server} {
			r.Seen = append(r.Seen, t.sightings(s, heard[s])...)
			delete(heard, s)
		}
		for s, list := range heard {
			r.Seen = append(r.Seen, t.sightings(s, list)...)
		}
	}
	t.conclude(r)
	return r
}

func (r *Result) has(match func(Sighting) bool) bool { return slices.ContainsFunc(r.Seen, match) }

func (r *Result) at(p passage) bool {
	return r.has(func(s Sighting) bool {
		return s.Server == p.server && s.index == p.index && s.Out == p.out && (s.what == isPacket || s.what == isAsk)
	})
}

// conclude puts both together.
func (t *Trace) conclude(r *Result) {
	guilty := r.Guilty()
	last := -1
	for i, p := range r.passes {
		if !p.hidden && r.at(p) {
			last = i
		}
	}
	answerLeft := r.has(func(s Sighting) bool { return s.what == isAnswer && s.Server == r.last })
	r.Answered = r.has(func(s Sighting) bool {
		return s.what == isAnswer && s.Server == t.From.Server && (s.Server != r.last || r.Arrives)
	})
	r.Came = r.Answered || answerLeft
	if n := len(r.passes); r.Arrives && n > 0 && last == n-1 && (r.port || t.Protocol == protoUDP) {
		r.Came = true
	}
	switch {
	case guilty != nil:
		r.Verdict, r.Next = fmt.Sprintf("stops at %s, %s: %s", guilty.Where, guilty.Object, guilty.Says), guilty.Next
		t.packetOf(r, last)
		r.Agrees = !r.Answered && !r.Came
		if r.Answered {
			r.Reaches = true
			r.Verdict = fmt.Sprintf("%s, %s is not as it should be: %s", guilty.Where, guilty.Object, guilty.Says)
			r.Packet = "the packet is answered all the same: it takes another way, or the entry is not asked for any more"
		}
	case len(r.Needs) > 0:
		r.Verdict = "not known: a server on the way does not answer"
	case !r.Sent:
		r.Verdict, r.Reaches = "arrives, by what the kernels say", r.Arrives
	case r.Refused != "":
		r.Verdict = fmt.Sprintf("stops at %s: the kernel does not send it: %s", t.From, r.Refused)
		r.Packet, r.Next = "it could not be sent", "on "+t.From.Server+": nft list ruleset"
	case r.Came || r.Leaves && r.Answered:
		t.arrived(r)
	case r.Leaves:
		r.Verdict = "leaves the servers of the cluster, and is not answered"
		t.packetOf(r, last)
	default:
		t.lost(r, last)
	}
	if guilty == nil && r.Next == "" {
		for _, h := range r.Hops {
			if h.State == Warns {
				r.Next = h.Next
			}
		}
	}
}

// arrived is the end of a packet that came.
func (t *Trace) arrived(r *Result) {
	r.Reaches, r.Agrees = true, true
	r.Verdict = fmt.Sprintf("arrives at %s", t.To)
	if t.To.Server == "" {
		r.Verdict = "arrives at " + t.To.Text
	}
	switch {
	case r.Answered && t.Protocol == protoTCP:
		r.Packet = "the packet agrees: it is answered"
	case r.Answered:
		r.Packet = "the packet agrees: it is answered"
	case t.Protocol == protoUDP:
		r.Packet = "the packet agrees: it was seen on the last device; no answer, as UDP may"
	default:
		seen := "none was seen"
		for _, s := range r.Seen {
			if s.what == isAnswer {
				seen = fmt.Sprintf("it was last seen on %s of %s", s.Device, s.Server)
			}
		}
		r.Packet = "the packet agrees; its answer does not come back: " + seen
		r.Next = "flock trace " + t.turned(t.To) + " " + t.turned(t.From)
	}
}

// turned is an end as it is written.
func (t *Trace) turned(e End) string {
	if e.Container == "" && e.Addr.IsValid() && t.Network != "" {
		return e.Server
	}
	if e.Container != "" {
		return e.Server + ":" + nameOf(e.Container)
	}
	if e.Server != "" {
		return e.Server
	}
	return e.Text
}

// packetOf says where the packet was last seen.
func (t *Trace) packetOf(r *Result, last int) {
	if !r.Sent {
		return
	}
	r.Packet = "the packet agrees: " + t.lastSeen(r, last)
	if e := r.complaint(); e != "" {
		r.Packet += "; " + e
	}
}

func (t *Trace) lastSeen(r *Result, last int) string {
	if last < 0 {
		return "it was seen on no device"
	}
	p := r.passes[last]
	way := "coming in by"
	if p.out {
		way = "leaving by"
	}
	what := "it"
	if !r.has(func(s Sighting) bool { return s.what == isPacket }) {
		what = "nobody answers the question who has the address, which"
	}
	return fmt.Sprintf("%s was last seen on %s, %s %s", what, p.server, way, p.dev)
}

// complaint is an ICMP error that came back.
func (r *Result) complaint() string {
	for _, s := range r.Seen {
		if s.what == isError {
			return fmt.Sprintf("%s says: %s", s.from, errorWords(s.code))
		}
	}
	return ""
}

func errorWords(code int) string {
	switch code {
	case 0x0300, 0x0301, 0x0103:
		return "host unreachable"
	case 0x0303, 0x0104:
		return "nobody listens at the port"
	case 0x0304, 0x0200:
		return "the packet is too large"
	case 0x0309, 0x030a, 0x030d, 0x0101:
		return "prohibited by a filter"
	case 0x0b00, 0x0300 + 0xff00:
		return "it goes in a circle"
	}
	return fmt.Sprintf("ICMP type %d, code %d", code>>8, code&0xff)
}

// lost is the end of a packet that should arrive, by what the kernels say, and does not.
func (t *Trace) lost(r *Result, last int) {
	r.Agrees = false
	seen := t.lastSeen(r, last)
	if e := r.complaint(); e != "" {
		seen += "; " + e
	}
	if len(r.passes) == 0 || last == len(r.passes)-1 {
		r.Verdict = fmt.Sprintf("comes to %s, which does not answer", t.To)
		r.Next = "on " + t.To.Server + ": nft list ruleset"
		r.Packet = "the look-up finds nothing in the way: " + seen
		return
	}
	next := r.passes[last+1]
	for i := last + 1; i < len(r.passes)-1 && r.passes[i].hidden; i++ {
		next = r.passes[i+1]
	}
	r.Packet = "the look-up finds nothing in the way: " + seen
	at := t.From.Server
	if last >= 0 {
		at = r.passes[last].server
	}
	carrier := next.carrier
	for i := last; i < len(r.passes); i++ {
		if i >= 0 && r.passes[i].server == at && r.passes[i].carrier != "" {
			carrier = r.passes[i].carrier
		}
	}
	switch {
	case next.server != at && carrier != "":
		r.Verdict = fmt.Sprintf("stops between %s and %s: something drops %s", at, next.server, carrier)
		r.Next = "flock probe " + at + " " + next.server
	case next.server != at:
		r.Verdict = fmt.Sprintf("stops between %s and %s: something drops %s", at, next.server, flow{packet: packet{src: t.sent.src, dst: t.sent.dst, proto: t.Protocol, port: t.Port}}.what())
		r.Next = "flock probe " + at + " " + next.server
	case next.suspect.may:
		r.Verdict = fmt.Sprintf("stops on %s before %s: chain %s may drop it %s", at, next.dev, next.suspect.chain, next.suspect.how())
		r.Next = "on " + at + ": nft list chain " + next.suspect.chain.String()
	default:
		r.Verdict = fmt.Sprintf("stops on %s before %s: nothing that was looked at explains it", at, next.dev)
		r.Next = "on " + at + ": nft list ruleset"
	}
}

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/trace/kernel"
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

// at says whether the packet, or something else that goes its way, was seen on a passage.
func (r *Result) at(p passage, what ...int) bool {
	return r.has(func(s Sighting) bool {
		return s.Server == p.server && s.index == p.index && s.Out == p.out && slices.Contains(what, s.what)
	})
}

// beyond says whether the packet was seen behind an object that should stop it: answered, by
// something else than what refuses it, on a server that it should not get to, or leaving one
// whose rules should drop it.
func (t *Trace) beyond(r *Result, g *Hop) bool {
	server, _, _ := strings.Cut(g.Where, ":")
	rules := strings.HasPrefix(g.Object, "chain ") || strings.HasPrefix(g.Object, "qdisc ") || strings.HasPrefix(g.Object, "tc ")
	floods := strings.HasPrefix(g.Object, "neighbour ") || strings.HasPrefix(g.Object, "MAC ") // everybody hears it
	return r.has(func(s Sighting) bool {
		here := func(p passage) bool { return p.server == s.Server }
		switch l := t.facts(place{s.Server, ""}).at(s.index); {
		case s.what == isAnswer:
			return !rules || s.code != refusal
		case s.what != isPacket || floods:
			return false
		case s.Server != server && s.Server != t.From.Server && !slices.ContainsFunc(r.passes, here):
			return true
		default:
			return rules && s.Server == server && s.Out && l != nil && l.Master == 0 &&
				!slices.ContainsFunc(r.passes, func(p passage) bool { return here(p) && p.index == s.index })
		}
	})
}

// conclude puts both together.
func (t *Trace) conclude(r *Result) {
	guilty := r.Guilty()
	last := -1
	for i, p := range r.passes {
		if !p.hidden && r.at(p, isPacket, isAsk) {
			last = i
		}
	}
	n := len(r.passes)
	r.Answered = r.has(func(s Sighting) bool { return s.what == isAnswer && s.Server == t.From.Server })
	r.Came = r.Answered || r.has(func(s Sighting) bool { return s.what == isAnswer && s.Server == r.last })
	if r.Arrives && (r.port || t.Protocol == protoUDP) {
		loops := func(s Sighting) bool { return s.what == isPacket && s.Device == "lo" }
		r.Came = r.Came || n > 0 && r.at(r.passes[n-1], isPacket) || n == 0 && r.has(loops)
	}
	switch {
	case guilty != nil:
		r.Verdict, r.Next = fmt.Sprintf("stops at %s, %s: %s", guilty.Where, guilty.Object, guilty.Says), guilty.Next
		t.packetOf(r, last)
		if r.Agrees = !t.beyond(r, guilty); r.Agrees {
			return
		}
		r.Reaches = r.Answered
		r.Verdict = fmt.Sprintf("%s, %s is not as it should be: %s", guilty.Where, guilty.Object, guilty.Says)
		r.Packet = "the packet passes all the same, and what becomes of it is not known"
		if r.Answered {
			r.Packet = "the packet is answered all the same: it takes another way, or the entry is not asked for any more"
		}
	case len(r.Needs) > 0, r.deaf && !r.Came:
		r.Verdict = "not known: a server on the way does not answer as it should"
	case r.Arrives && (!r.Sent || r.Refused == "" && n == 0 && len(r.Seen) == 0 && t.From.Container != ""): // nothing is seen of what stays inside
		r.Verdict, r.Reaches = "arrives, by what the kernels say", true
	case !r.Sent:
		r.Verdict = "leaves the servers of the cluster, by what the kernels say"
	case r.Refused != "":
		r.Verdict = fmt.Sprintf("stops at %s: the kernel does not send it: %s", t.From, r.Refused)
		r.Packet, r.Next = "it could not be sent", runOn(t.From.Server, "nft", "list", "ruleset")
	case r.Came:
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
		from := t.To.Text
		if t.To.Server == "" && r.last != "" { // several servers have it
			from = r.last + ":" + t.To.Addr.String()
		}
		r.Next = hint.Shell("flock", "trace", from, t.From.Text)
	}
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
	way, what := "coming in by", "it"
	if p.out {
		way = "leaving by"
	}
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
	const prohibited = "prohibited by a filter"
	return cmp.Or(map[int]string{
		0x0300: "host unreachable", 0x0301: "host unreachable", v6 | 0x0100: "host unreachable", v6 | 0x0103: "host unreachable",
		0x0303: "nobody listens at the port", v6 | 0x0104: "nobody listens at the port",
		0x0304: "the packet is too large", v6 | 0x0200: "the packet is too large",
		0x0309: prohibited, 0x030a: prohibited, 0x030d: prohibited, v6 | 0x0101: prohibited,
		0x0b00: "it goes in a circle", v6 | 0x0300: "it goes in a circle",
	}[code], fmt.Sprintf("ICMP type %d, code %d", code>>8&0xff, code&0xff))
}

// lost is the end of a packet that should arrive, by what the kernels say, and does not.
func (t *Trace) lost(r *Result, last int) {
	r.Agrees = false
	seen := t.lastSeen(r, last)
	if e := r.complaint(); e != "" {
		seen += "; " + e
	}
	r.Packet = "the look-up finds nothing in the way: " + seen
	if n := len(r.passes); n == 0 || last == n-1 {
		r.Verdict = fmt.Sprintf("comes to %s, which does not answer", t.To)
		if n > 0 && !r.at(r.passes[last], isPacket) {
			r.Verdict = fmt.Sprintf("stops before %s, which does not answer who has the address", t.To)
		}
		at := cmp.Or(r.last, t.To.Server)
		if at != "" {
			r.Next = runOn(at, "nft", "list", "ruleset")
		}
		r.blame(r.suspect, at)
		return
	}
	next := r.passes[last+1]
	suspect, whose := next.suspect, next.server
	for i := last + 1; i < len(r.passes)-1 && r.passes[i].hidden; i++ {
		if next = r.passes[i+1]; !suspect.May {
			suspect, whose = next.suspect, next.server
		}
	}
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
	case next.server != at:
		own := flow{packet: packet{src: t.sent.src, dst: t.sent.dst, proto: t.Protocol, port: t.Port}}
		r.Verdict = fmt.Sprintf("stops between %s and %s: something drops %s", at, next.server, cmp.Or(carrier, own.what()))
		r.Next = "flock probe " + at + " " + next.server
		if suspect.May { // what is encrypted is not seen to come
			object, _ := suspect.Object()
			r.Verdict += fmt.Sprintf(", or %s of %s does %s", object, whose, suspect.How())
		}
	default:
		r.Verdict = fmt.Sprintf("stops on %s before %s: nothing that was looked at explains it", at, next.dev)
		r.Next = runOn(at, "nft", "list", "ruleset")
		r.blame(suspect, whose)
	}
}

// blame names what may drop the packet on a server as what explains the verdict.
func (r *Result) blame(o kernel.Outcome, server string) {
	if o.May {
		stops, _, _ := strings.Cut(r.Verdict, ": ")
		object, _ := o.Object()
		r.Verdict = fmt.Sprintf("%s: %s of %s may drop it %s", stops, object, server, o.How())
		r.Next = runOn(server, o.List()...)
	}
}

package trace

import "github.com/flocknet/flock/internal/spec"

// Ask puts requests to servers, to each one after the other. The replies of one that does not
// answer are missing.
type Ask func(map[string][]*spec.Request) map[string][]*spec.Reply

// Run follows the packet, has it sent, and judges. Random are some 16 bytes that no other packet
// has. When a server does not answer, what was found until then is the result.
func (t *Trace) Run(ask Ask, random []byte) *Result {
	way := t.follow(ask)
	refused, heard := t.try(ask, way, random)
	if way.nobody { // the packet made the servers ask who has the address
		for p, f := range t.all {
			t.all[p] = &facts{listed: f.listed, Containers: f.Containers}
		}
		if way = t.follow(ask); !way.nobody {
			refused, heard = t.try(ask, way, random)
		}
	}
	return t.Judge(way, refused, heard)
}

// follow asks until nothing is lacking, or somebody does not answer.
func (t *Trace) follow(ask Ask) *Way {
	for {
		way := t.Walk()
		if len(way.Needs) == 0 {
			return way
		}
		requests := map[string][]*spec.Request{}
		for _, n := range way.Needs {
			requests[n.Server] = append(requests[n.Server], t.Request(n))
		}
		replies := ask(requests)
		for _, n := range way.Needs {
			list := replies[n.Server]
			if len(list) == 0 {
				return way
			}
			t.Take(n, list[0])
			replies[n.Server] = list[1:]
		}
	}
}

// try has the packet sent while all on its way listen.
func (t *Trace) try(ask Ask, way *Way, random []byte) (refused string, heard map[string][]string) {
	heard = map[string][]string{}
	if !t.Packet(way, random) {
		return "", heard
	}
	listen := t.Taps(way)
	ask(listen)
	for range 2 { // a busy server may lose one
		for from, list := range ask(map[string][]*spec.Request{t.From.Server: {t.Send()}}) {
			refused, heard[from] = list[0].Trace.Refused, append(heard[from], list[0].Trace.Seen...)
		}
		if refused != "" || t.Answered(heard[t.From.Server]) {
			break
		}
	}
	delete(listen, t.From.Server)
	for server := range listen {
		listen[server] = []*spec.Request{t.Hear(server)}
	}
	for server, list := range ask(listen) {
		heard[server] = list[0].Trace.Seen
	}
	return refused, heard
}

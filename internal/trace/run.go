package trace

import (
	"context"

	"github.com/flocknet/flock/internal/spec"
)

// Ask puts requests to servers, to each one after the other. The replies of one that does not
// answer are missing.
type Ask func(map[string][]*spec.Request) map[string][]*spec.Reply

// mostRounds are the rounds of questions that a walk may take, whatever servers answer.
const mostRounds = 300

// Run follows the packet, has it sent, and judges. Random are some 16 bytes that no other packet
// has. When a server does not answer, what was found until then is the result. It ends when ctx
// does.
func (t *Trace) Run(ctx context.Context, ask Ask, random []byte) *Result {
	way := t.follow(ctx, ask)
	refused, heard := t.try(ask, way, random)
	if way.nobody { // the packet made the servers ask who has the address
		for p, f := range t.all {
			t.all[p] = &facts{listed: f.listed, Containers: f.Containers, silent: f.silent}
		}
		if way = t.follow(ctx, ask); !way.nobody {
			refused, heard = t.try(ask, way, random)
		}
	}
	return t.Judge(way, refused, heard)
}

// follow asks until nothing is lacking, or nobody who could say more answers.
func (t *Trace) follow(ctx context.Context, ask Ask) *Way {
	for round := 0; ; round++ {
		way := t.Walk()
		requests, needs := map[string][]*spec.Request{}, way.Needs
		for _, n := range needs {
			if !t.facts(place{n.Server, ""}).silent {
				requests[n.Server] = append(requests[n.Server], t.Request(n))
			}
		}
		if len(requests) == 0 || round == mostRounds || ctx.Err() != nil {
			return way
		}
		replies := ask(requests)
		for _, n := range needs {
			list := replies[n.Server]
			if len(list) == 0 {
				t.facts(place{n.Server, ""}).silent = true
				continue
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
	taps := t.Taps(way)
	listening := ask(taps)
	way.deaf = len(listening) < len(taps)
	if listening[t.From.Server] == nil {
		t.sent = nil
		return "", heard
	}
	for range 2 { // a busy server may lose one
		for from, list := range ask(map[string][]*spec.Request{t.From.Server: {t.Send()}}) {
			refused, heard[from] = list[0].Trace.Refused, append(heard[from], list[0].Trace.Seen...)
		}
		if refused != "" || t.Answered(heard[t.From.Server]) {
			break
		}
	}
	delete(listening, t.From.Server)
	hear := map[string][]*spec.Request{}
	for server := range listening {
		hear[server] = []*spec.Request{t.Hear(server)}
	}
	for server, list := range ask(hear) {
		heard[server] = list[0].Trace.Seen
	}
	return refused, heard
}

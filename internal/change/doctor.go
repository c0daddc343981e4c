package change

import (
	"context"
	"time"

	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Diagnosis is what a doctor judges.
type Diagnosis struct {
	Facts  doctor.Facts
	Mended map[string][]spec.Ran // by server, as the scripts that it was to run
	Absent []Server              // that did not answer
}

// Doctor gathers what is to be judged of servers. Before that each runs the scripts of mend.
func (e *Engine) Doctor(ctx context.Context, names []string, mend map[string][]string) (*Diagnosis, error) {
	c, compiled, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	speaks, mended := network.Speakers(c), make([][]spec.Ran, len(names))
	numbers := make([]int, len(names))
	for i := range numbers {
		numbers[i] = i
	}
	results := remote.Each(ctx, numbers, e.parallel(), func(ctx context.Context, i int) (doctor.Server, error) {
		p := &peer{name: names[i], want: compiled.Hosts[names[i]], speaks: speaks[names[i]]}
		if p.want == nil {
			p.want = &spec.Host{Cluster: c.Name, Store: c.ID, Server: p.name}
		}
		defer p.close()
		if err := p.dial(ctx, e, c); err != nil {
			return doctor.Server{}, err
		}
		if scripts := mend[p.name]; len(scripts) > 0 {
			e.touching()
			e.event(Event{Server: p.name, Line: "mending"})
			reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpDoctor, Want: p.want, Doctor: &spec.DoctorRequest{Run: scripts}})
			if err != nil {
				return doctor.Server{}, err
			}
			mended[i] = reply.Doctor.Ran
		}
		return p.diagnose(ctx, e, c)
	})
	out := &Diagnosis{Facts: doctor.Facts{Cluster: c}, Mended: map[string][]spec.Ran{}}
	for i, res := range results {
		out.Mended[names[i]] = mended[i]
		if res.Err != nil {
			out.Absent = append(out.Absent, Server{Name: names[i], State: Unreachable, Err: res.Err})
		} else {
			out.Facts.Servers = append(out.Facts.Servers, res.Value)
		}
	}
	return out, ctx.Err()
}

// diagnose asks what a server is like, and what is on it beside flock.
func (p *peer) diagnose(ctx context.Context, e *Engine, c *state.Cluster) (s doctor.Server, err error) {
	e.event(Event{Server: p.name, Line: "examining"})
	status, err := p.do(ctx, e, &spec.Request{Op: spec.OpStatus, Want: p.want, Holder: e.Holder, Devs: network.Devices(c, p.name)})
	if err != nil {
		return s, err
	}
	began := time.Now()
	reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpDoctor, Want: p.want, Doctor: doctor.Request()})
	if err != nil {
		return s, err
	}
	middle := began.Add(time.Since(began) / 2).UnixNano()
	entry := *c.Servers[p.name]
	s = doctor.Server{Name: p.name, Entry: &entry, Want: p.want, Facts: &spec.Facts{}, Plan: status.Plan, Seen: reply.Doctor, Skew: time.Duration(reply.Doctor.Clock - middle)}
	if status.Facts != nil {
		entry.Facts, s.Facts = edit.FactsOf(status.Facts), status.Facts
	}
	nets, err := p.do(ctx, e, &spec.Request{Op: spec.OpNets, Want: p.want})
	if err != nil {
		return s, err
	}
	s.Containers = nets.Containers
	s.Rules, err = doctor.Rules(s.Facts.Arch, p.kernel(ctx, e))
	return s, err
}

// kernel puts questions to the server's kernel.
func (p *peer) kernel(ctx context.Context, e *Engine) func(questions []string) ([]string, error) {
	return func(questions []string) ([]string, error) {
		reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpTrace, Want: p.want, Trace: &spec.TraceRequest{Questions: questions}})
		if err != nil {
			return nil, err
		}
		return reply.Trace.Answers, nil
	}
}

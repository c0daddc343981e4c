//go:build linux

package adopt

import (
	"context"
	"errors"
	"net/netip"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Family are the addresses of other programs' own bridges.
var Family = family.Family{
	Stage: family.StageUse, What: "subnets of LXC, Docker and libvirt",
	Observe: observe,
	Diff: func(d *family.Difference) {
		c := family.Compare(d.Want.Adopted, d.Have.Adopted, func(a spec.Addr) spec.Addr { return spec.Addr{Link: a.Link} }, spec.AdoptedObject)
		for i := range c.Come {
			c.Come[i].Step.Detail = "address " + c.Come[i].Want.(spec.Addr).Prefix.String()
		}
		d.Put(c, family.Clearing, family.Coming)
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		if err := a.Flush(ctx); err != nil {
			return err
		}
		bridge, want := bridgeOf(op)
		return set(ctx, a.Host, bridge, want)
	},
	Explain: explain,
	Tried: family.Tried{
		Claim: func(ctx context.Context, k *host.Host, _ *spec.Host, ops []family.Op) (out []spec.Problem, _ error) {
			for _, op := range ops {
				bridge, want := bridgeOf(op)
				problem, err := try(ctx, k, bridge, want)
				if err != nil {
					return nil, err
				}
				if problem != nil {
					out = append(out, *problem)
				}
			}
			return out, nil
		},
	},
	Apart:  true,
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		err := observe(context.Background(), k, have, have)
		var out []string
		for _, a := range have.Adopted {
			out = append(out, spec.AdoptedObject(a))
		}
		return out, err
	},
}

// bridgeOf is what an op is about: the bridge, and the address that it is to have; invalid for its own.
func bridgeOf(op family.Op) (bridge string, want netip.Prefix) {
	if a, comes := op.Want.(spec.Addr); comes {
		return a.Link, a.Prefix
	}
	return op.Have.(spec.Addr).Link, netip.Prefix{}
}

// observe fills in have.Adopted.
func observe(ctx context.Context, k *host.Host, _, have *spec.Host) error {
	var errs []error
	for _, bridge := range Noted(k) {
		p := programOf(bridge)
		n, err := readNote(k, bridge)
		if p == nil || n == nil || err != nil {
			errs = append(errs, err)
			continue
		}
		a, err := p.observe(n.told, func() bool { return p.active(ctx) })
		have.Adopted = append(have.Adopted, a)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// explain adds what is replaced, and how the program takes it up.
func explain(k *host.Host, op *family.Op) {
	bridge, want := bridgeOf(*op)
	p := programOf(bridge)
	if p == nil {
		return // tried, it is refused
	}
	if want.IsValid() {
		text, _ := p.text() // what is wrong is told when it is tried
		was := "chosen by " + p.name
		if at := p.address(text); at.IsValid() {
			was = at.String()
		}
		op.Step.Detail += ", was " + was + "; "
	}
	op.Step.Detail += "by " + p.file + ", " + p.name + " makes its bridge anew"
}

// set gives a bridge the address, or with an invalid one its own again.
func set(ctx context.Context, k *host.Host, bridge string, want netip.Prefix) error {
	problem, err := try(ctx, k, bridge, want)
	if err != nil {
		return err
	}
	if problem != nil {
		return problem
	}
	p := programOf(bridge)
	if !p.there() { // its configuration went with it, or waits for nobody
		return sysfile.Remove(path(k, bridge), pausedPath(k, bridge))
	}
	text, err := p.text()
	if err != nil {
		return err
	}
	n, err := readNote(k, bridge)
	if err != nil {
		return err
	}
	if want.IsValid() {
		return p.give(ctx, k, n, text, want)
	}
	if n == nil {
		return nil
	}
	return p.giveBack(ctx, k, n, text)
}

// give makes want the bridge's address, and notes first what was there.
func (p *program) give(ctx context.Context, k *host.Host, n *note, text string, want netip.Prefix) error {
	if n == nil {
		former, err := p.get(text)
		if err != nil {
			return err
		}
		n = &note{former: former, made: !sysfile.Exists(p.file)}
		if live := p.live(); !p.address(text).IsValid() && len(live) > 0 {
			n.chosen = live[0]
		}
	}
	n.told = want
	if err := n.write(k, p.bridge); err != nil {
		return err
	}
	now, err := p.put(text, p.part(want))
	if err != nil {
		return err
	}
	return p.turn(ctx, k, now)
}

// giveBack makes the file say what it said, and forgets the bridge.
func (p *program) giveBack(ctx context.Context, k *host.Host, n *note, text string) error {
	now, err := p.put(text, n.former)
	if err != nil {
		return err
	}
	if n.made && isEmpty(now) {
		now = ""
	}
	if n.chosen.IsValid() { // Docker keeps the subnet that it was told until it is told another
		own, err := p.put(text, p.part(n.chosen))
		if err == nil {
			err = p.turn(ctx, k, own)
		}
		if err == nil {
			err = p.write(ctx, now, path(k, p.bridge)+".new")
		}
		if err != nil {
			return err
		}
	} else if err := p.turn(ctx, k, now); err != nil {
		return err
	}
	return sysfile.Remove(path(k, p.bridge))
}

//go:build linux

package dockernet

import (
	"context"
	_ "embed" // of the script
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// adoption gives LXC's, Docker's and libvirt's own bridge another subnet, in the configuration of
// these programs. In Go it would be seven times as large.
//
//go:embed adopt.sh
var adoption string

// observeAdopted fills in have.Adopted.
func observeAdopted(ctx context.Context, k *host.Host, want, have *spec.Host) error {
	if !noted(k, "adopt-") {
		return nil
	}
	out, err := run(ctx, k, adoption, "list")
	for line := range strings.Lines(out) {
		bridge, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		p, _ := netip.ParsePrefix(text) // what is none is not what is wanted
		have.Adopted = append(have.Adopted, spec.Addr{Link: bridge, Prefix: p})
	}
	return err
}

// AdoptedFamily are subnets of other programs' own bridges.
var AdoptedFamily = family.Family{
	Stage: family.StageUse, What: "subnets of LXC, Docker and libvirt",
	Observe: observeAdopted,
	Diff: func(d *family.Difference) {
		c := family.Compare(d.Want.Adopted, d.Have.Adopted, func(a spec.Addr) spec.Addr { return spec.Addr{Link: a.Link} }, spec.AdoptedObject)
		for i := range c.Come {
			c.Come[i].Step.Detail = "address " + c.Come[i].Want.(spec.Addr).Prefix.String()
		}
		d.Put(c, family.Clearing, family.Coming)
	},
	One: set,
	Explain: func(k *host.Host, op *family.Op) {
		more, _ := tell(context.Background(), k, "step", *op) // what is wrong is told when it is tried
		op.Step.Detail += strings.TrimSuffix(more, "\n")
	},
	Tried:  family.Tried{Claim: claim},
	Apart:  true,
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		err := observeAdopted(context.Background(), k, have, have)
		var out []string
		for _, a := range have.Adopted {
			out = append(out, spec.AdoptedObject(a))
		}
		return out, err
	},
}

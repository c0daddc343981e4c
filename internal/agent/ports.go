//go:build linux

package agent

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// namePorts adds to the steps that take a bridge away whose interfaces are plugged in
// there: the kernel lets go of them without a word, and whoever made them is not told.
func (k *Kernel) namePorts(ops []Op) {
	for i, op := range ops {
		l, bridge := op.Have.(spec.Link)
		if !bridge || l.Kind != spec.Bridge || op.Want != nil {
			continue
		}
		if ports := k.pluggedInto(l.Name); len(ports) > 0 {
			ops[i].Step.Detail = spec.LosesBridge + strings.Join(ports, ", ")
		}
	}
}

// pluggedInto are the interfaces of others on a bridge of ours, sorted.
func (k *Kernel) pluggedInto(bridge string) []string {
	b := k.devices.byName[bridge]
	if b == nil {
		return nil
	}
	var out []string
	for _, l := range k.portsOf(b.Attrs().Index) {
		if !flocks(l) {
			out = append(out, l.Attrs().Name)
		}
	}
	slices.Sort(out)
	return out
}

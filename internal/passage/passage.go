// Package passage is the way of a server from one spec to another (pure), where members'
// packets must arrive all the time. It owns the specs in between and what is told of them;
// it refuses to know networks, and who applies what when.
package passage

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// When a network gets another backend, its members' packets take another path. Servers
// do not change at the same moment, so for a while every server accepts packets on both
// paths: first all servers create the new devices, then all change their routes, and the
// old devices are removed last.
//
// A VXLAN device cannot be given another VNI, port or group: it is made anew, and servers
// do not do that at the same moment. So the members' packets pass by a device that is there
// for the change alone, with a VNI of its own: all make it ready, turn to it, make the
// device anew, and turn back. On a bridge it is a second tunnel: spec.Beside, spec.Quiet.

// Most is how many stages a change has at most before its last one.
const Most = 4

// Between are the specs of a server on the way from was to now, without the last. VNIs are
// those for the devices that are there for the change alone, by network.
func Between(was, now *spec.Host, vnis map[string]uint32) []*spec.Host {
	remade := remadeLinks(was, now, vnis)
	if len(remade) == 0 {
		ready := stages(was, now)
		return ready[:]
	}
	between := *now
	for _, l := range remade {
		between = *between.Renamed(l.Name, passing(l.Name))
		for i := range between.Links {
			if between.Links[i].Name == passing(l.Name) {
				tunnel := *l.Tunnel
				tunnel.VNI = vnis[l.Network]
				between.Links[i].Tunnel = &tunnel
			}
		}
	}
	to, from := stages(was, &between), stages(&between, now)
	out := slices.Concat(to[:], from[:])
	for _, l := range remade {
		for i, turns := range [Most][2]string{{spec.Beside, spec.Quiet}, {spec.Quiet, spec.Beside}, {spec.Quiet, spec.Beside}, {spec.Beside, spec.Quiet}} {
			openTo(out[i], l.Name)
			if l.Master != "" {
				turn(out[i], l.Name, turns[0])
				turn(out[i], passing(l.Name), turns[1])
			}
		}
	}
	return out
}

// Clash says whether the kernel of some server cannot have at one time what the server has in
// some stage: a device of before that is removed or becomes another, and one that takes its
// port, VNI or ends. Such a change has no stages. VNIs are Between's.
func Clash(was, now map[string]*spec.Host, vnis map[string]uint32) bool {
	for server, before := range was {
		if after := now[server]; before != nil && after != nil && clashes(before, after, vnis) {
			return true
		}
	}
	return false
}

func clashes(was, now *spec.Host, vnis map[string]uint32) bool {
	in := func(h *spec.Host, l spec.Link) bool {
		return slices.ContainsFunc(h.Links, func(o spec.Link) bool {
			return o.Name == l.Name && o.Port == l.Port && (o.Tunnel == nil) == (l.Tunnel == nil) && (l.Tunnel == nil || *o.Tunnel == *l.Tunnel)
		})
	}
	left := slices.DeleteFunc(slices.Clone(was.Links), func(l spec.Link) bool { return in(now, l) })
	if len(left) == 0 {
		return false
	}
	for _, h := range Between(was, now, vnis) {
		for _, old := range left {
			if in(h, old) && slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Name != old.Name && (spec.SameWay(l, old) || otherPolicy(l, old)) }) {
				return true
			}
		}
	}
	return false
}

// otherPolicy says whether two VXLANs have one port, of which only one has group policy: a
// port has it or not, for all devices.
func otherPolicy(a, b spec.Link) bool {
	return a.Kind == spec.VXLAN && b.Kind == spec.VXLAN && a.Tunnel.Port == b.Tunnel.Port && a.Tunnel.GBP != b.Tunnel.GBP &&
		a.Tunnel.Local.Is6() == b.Tunnel.Local.Is6()
}

// remadeLinks are the VXLAN devices of networks in which some member's becomes another: all
// members take part, for none hears another on the device that is there for the change alone
// but on its own.
func remadeLinks(was, now *spec.Host, vnis map[string]uint32) []spec.Link {
	var out []spec.Link
	at := func(h *spec.Host, name string) int {
		return slices.IndexFunc(h.Links, func(l spec.Link) bool { return l.Name == name })
	}
	for _, l := range now.Links {
		i := at(was, l.Name)
		if l.Kind != spec.VXLAN || vnis[l.Network] == 0 || i < 0 || was.Links[i].Kind != spec.VXLAN {
			continue
		}
		if at(was, passing(l.Name)) < 0 && at(now, passing(l.Name)) < 0 {
			out = append(out, l)
		}
	}
	return out
}

// passing is the name of the device that stands for another, meanwhile.
func passing(device string) string { return device[:len(device)-1] + "w" }

// openTo makes packet filters take both devices for the tunnel.
func openTo(h *spec.Host, device string) {
	either := device[:len(device)-1] + "*" // as packet filters name the two
	h.Gateways, h.Guards = slices.Clone(h.Gateways), slices.Clone(h.Guards)
	for i := range h.Gateways {
		if up := &h.Gateways[i].Uplink; *up == device || *up == passing(device) {
			*up = either
		}
	}
	for i := range h.Guards {
		if up := &h.Guards[i].Uplink; *up == device || *up == passing(device) {
			*up = either
		}
	}
}

// turn says what a tunnel is to its bridge.
func turn(h *spec.Host, device, how string) {
	h.Links = slices.Clone(h.Links)
	for i := range h.Links {
		if h.Links[i].Name == device {
			h.Links[i].Turn = how
		}
	}
}

// Lasting are the steps of all stages without those that another took back: about devices
// that were there for the change alone, and about what is afterwards as it was before.
func Lasting(was, now *spec.Host, steps []spec.Step) []spec.Step {
	if was == nil {
		return steps
	}
	stays := map[string]bool{}
	for _, r := range now.Routes {
		stays[r.Object()] = slices.Contains(was.Routes, r)
	}
	for _, g := range now.Gateways {
		stays["gateway "+g.Bridge] = slices.ContainsFunc(was.Gateways, func(o spec.Gateway) bool { return o.String() == g.String() })
	}
	for _, g := range now.Guards {
		stays["ports "+g.Bridge] = slices.ContainsFunc(was.Guards, func(o spec.Guard) bool { return o.String() == g.String() })
	}
	if len(now.Unmanaged) == 1 && len(was.Unmanaged) == 1 {
		stays["unmanaged"] = now.Unmanaged[0].String() == was.Unmanaged[0].String()
	}
	known := map[string]bool{}
	for _, l := range slices.Concat(was.Links, now.Links) {
		known[l.Name] = true
	}
	var meanwhile []string
	for _, l := range now.Links {
		if l.Kind == spec.VXLAN && !known[passing(l.Name)] {
			meanwhile = append(meanwhile, passing(l.Name))
		}
	}
	steps = slices.Clone(steps)
	turned := map[int]bool{}
	for i, s := range steps {
		if s.Action == spec.Change && strings.Contains(s.Detail, "isolated ") {
			steps[i].Detail, turned[i] = withoutTurn(s.Detail), true
		}
	}
	at := -1
	return slices.DeleteFunc(steps, func(s spec.Step) bool {
		at++
		return stays[s.Object] || turned[at] && s.Detail == "" || slices.ContainsFunc(meanwhile, func(device string) bool { return strings.Contains(s.Object, device) })
	})
}

// withoutTurn is a step's detail without what a tunnel was to its bridge for the change alone.
func withoutTurn(detail string) string {
	anew := ""
	parts := slices.DeleteFunc(strings.Split(detail, ", "), func(part string) bool {
		if !strings.HasPrefix(part, "isolated ") {
			return false
		}
		if at := strings.Index(part, " ("); at >= 0 {
			anew = part[at:] // what is said of the whole step
		}
		return true
	})
	return strings.TrimSpace(strings.Join(parts, ", ") + anew)
}

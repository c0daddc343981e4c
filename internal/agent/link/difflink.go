package link

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// linkChanges are changes of links, with the names of those that vanish, for good
// or to be made anew.
type linkChanges struct {
	family.Pair
	vanish  map[string]bool
	renamed map[string]string // by the name of before
}

func diffLinks(want, have []spec.Link) linkChanges {
	c := linkChanges{vanish: map[string]bool{}, renamed: renamedLinks(want, have)}
	seen := map[string]spec.Link{}
	for _, h := range have {
		seen[h.Name] = h
	}
	wanted := map[string]bool{}
	for from, to := range c.renamed {
		seen[to], wanted[from] = seen[from], true
	}
	for _, w := range MastersFirst(want) {
		wanted[w.Name] = true
		h, ok := seen[w.Name]
		if !ok {
			step := spec.Step{Action: spec.Add, Object: "link " + w.Name, Detail: family.Attributes(w.String(), "link "+w.Name)}
			c.Come = append(c.Come, family.Op{Step: step, Want: w})
			continue
		}
		details, anew := linkDifference(w, h)
		if len(details) == 0 {
			continue
		}
		detail := strings.Join(details, ", ")
		if anew {
			detail += madeAnew
			c.vanish[w.Name] = true
		}
		c.Come = append(c.Come, family.Op{Step: spec.Step{Action: spec.Change, Object: "link " + w.Name, Detail: detail}, Want: w, Have: h})
	}
	c.clear()
	for _, h := range slices.Backward(MastersFirst(have)) {
		if !wanted[h.Name] {
			c.goes(h)
		}
	}
	return c
}

// goes has a link removed before any comes or changes.
func (c *linkChanges) goes(h spec.Link) {
	c.vanish[h.Name] = true
	c.Gone = append(c.Gone, family.Op{Step: spec.Step{Action: spec.Remove, Object: "link " + h.Name}, Have: h})
}

// clear has links removed that are to be others, where what comes before takes what they have:
// the kernel would refuse it. Of two that swap their ends one is made anew.
func (c *linkChanges) clear() {
	for i := range c.Come {
		for j := i + 1; j < len(c.Come); j++ {
			holder := &c.Come[j]
			h, living := holder.Have.(spec.Link)
			if !living || !spec.SameWay(c.Come[i].Want.(spec.Link), h) {
				continue
			}
			if !strings.HasSuffix(holder.Step.Detail, madeAnew) {
				holder.Step.Detail += madeAnew
			}
			holder.Have = nil
			c.goes(h)
		}
	}
}

const madeAnew = " (made anew)"

// renamedLinks are links of the kernel's own that are wanted under another name, that of
// before first: nothing else of them tells that they are others.
func renamedLinks(want, have []spec.Link) map[string]string {
	out, taken := map[string]string{}, map[string]bool{}
	named := func(list []spec.Link, name string) bool {
		return slices.ContainsFunc(list, func(l spec.Link) bool { return l.Name == name })
	}
	for _, w := range want {
		for _, h := range have {
			if named(have, w.Name) || named(want, h.Name) || taken[h.Name] || h.Stiff || w.Network == h.Network || w.Kind == spec.Bridge || w.Kind == spec.Port {
				continue
			}
			like := h
			like.Name, like.Network, like.MTU, like.Down, like.Extra = w.Name, w.Network, w.MTU, false, ""
			if differs, _ := linkDifference(w, like); len(differs) == 0 {
				out[h.Name], taken[h.Name] = w.Name, true
				break
			}
		}
	}
	return out
}

// MastersFirst sorts links by name, bridges before their ports, and those last that fall
// quiet: the other way is open then.
func MastersFirst(list []spec.Link) []spec.Link {
	return family.InSequence(list, func(a, b spec.Link) int {
		if (a.Master == "") != (b.Master == "") {
			if a.Master == "" {
				return -1
			}
			return 1
		}
		if quiet := a.Turn == spec.Quiet; quiet != (b.Turn == spec.Quiet) {
			if quiet {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// linkDifference says what differs, as "mtu 1400 -> 1450", and whether the kernel
// can change it on a living link.
func linkDifference(want, have spec.Link) (details []string, anew bool) {
	d := &linkNotes{}
	note := d.note
	note("name", have.Name, want.Name, false)
	note("kind", have.Kind, want.Kind, true)
	if want.MAC != "" || have.Kind != spec.Bridge { // silent: its port's
		note("mac", have.MAC, want.MAC, false)
	}
	if want.MTU != 0 { // silent: the kernel's value is fine
		note("mtu", strconv.Itoa(have.MTU), strconv.Itoa(want.MTU), false)
	}
	note("master", have.Master, want.Master, false)
	note("isolated", have.Isolated(), want.Isolated(), false)
	note("extra", have.Extra, want.Extra, false)
	note("network", have.Network, want.Network, false)
	note("addresses", standing(have), standing(want), false)
	note("state", state(have), state(want), false)
	if want.Kind == spec.WireGuard {
		note("key", short(have.Key), short(want.Key), false)
		note("port", Decimal(uint32(have.Port)), Decimal(uint32(want.Port)), false)
	}
	if want.Tunnel == nil {
		return d.details, d.anew
	}
	w, h := *want.Tunnel, spec.Tunnel{}
	if have.Tunnel != nil {
		h = *have.Tunnel
	}
	fixed := want.Kind != spec.UDP && !spec.IPTunnel(want.Kind) // a process changes those, the kernel these
	note(want.Number(), Decimal(h.VNI), Decimal(w.VNI), true)
	note("port", Decimal(uint32(h.Port)), Decimal(uint32(w.Port)), fixed)
	note("local", addrText(h.Local), addrText(w.Local), fixed)
	note("remote", addrText(h.Remote), addrText(w.Remote), fixed || h.Remote.IsValid() != w.Remote.IsValid()) // of one or of many
	note("key", Decimal(h.Key), Decimal(w.Key), fixed)
	note("group", addrText(h.Group), addrText(w.Group), true)
	note("dev", h.Dev, w.Dev, true)
	note("gbp", onOff(h.GBP), onOff(w.GBP), true)
	note("learning", onOff(!h.Static), onOff(!w.Static), true)
	note("ttl", Decimal(uint32(h.TTL)), Decimal(uint32(w.TTL)), fixed)
	note("extra", h.Extra, w.Extra, true)
	return d.details, d.anew
}

// linkNotes are what differs between two links; anew: the kernel cannot change some of it.
type linkNotes struct {
	details []string
	anew    bool
}

// note compares a field. As a part of linkDifference it would be in the program once for each.
//
//go:noinline
func (d *linkNotes) note(key, have, want string, fixed bool) {
	if have != want {
		d.details = append(d.details, key+" "+orNone(have)+" -> "+orNone(want))
		d.anew = d.anew || fixed
	}
}

// standing says where the addresses of a port are.
func standing(l spec.Link) string {
	if l.Moves {
		return "of its bridge"
	}
	return "its own"
}

func state(l spec.Link) string {
	if l.Down {
		return "down"
	}
	return "up"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Decimal is n as text.
func Decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

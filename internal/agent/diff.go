package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// Op is one change: the step that is printed and the objects it is about. Want is
// nil where the object goes, Have where it is new; both are values of spec.
type Op struct {
	Step       spec.Step
	Want, Have any

	family int // whose it is, its place among families
}

// linksFirst puts routes to what is on a link before those by a next hop, which may be
// reached by one of them.
func linksFirst(a, b Op) int { return byNextHop(a) - byNextHop(b) }

func byNextHop(op Op) int {
	if r, ok := op.Want.(spec.Route); ok && r.Via.IsValid() {
		return 1
	}
	return 0
}

// Steps returns the printed side of ops.
func Steps(ops []Op) []spec.Step {
	var out []spec.Step
	for _, op := range ops {
		out = append(out, op.Step)
	}
	return out
}

// turn is a part of a change, in the order in which they happen.
type turn int

const (
	going    turn = iota // services, routes and WireGuard's peers go, those first that come last
	clearing             // what else stands on links goes, then links, ports before their bridges
	coming               // links come, bridges before their ports, what stands on them, packet filters, routes
	lapsing              // neighbours and forwarding entries go, which a route that turned has led to until now
	serving              // global settings and services come
	leaving              // settings are restored
	turns
)

// backward says that families have their turn in the reverse of the order in which they come.
func (t turn) backward() bool { return t != coming && t != serving }

// difference is what families compare, and where each puts what it found.
type difference struct {
	want, have *spec.Host // have is without what goes with links
	links      linkChanges

	found [turns][]Op // by the family that compares
}

// put puts what compare found, where objects go in one turn and come in another. Inlined,
// it would be in the program once per family.
//
//go:noinline
func (d *difference) put(p pair, gone, come turn) {
	d.found[gone] = append(d.found[gone], p.gone...)
	d.found[come] = append(d.found[come], p.come...)
}

// pair is what goes and what comes of one sort of object.
type pair struct {
	gone []Op // removals
	come []Op // additions, and changes in place
}

// compare matches want and have by key. Objects with the same key and another
// text change in place; where have holds a key twice, all but one go.
func compare[K comparable, T fmt.Stringer](want, have []T, key func(T) K, object func(T) string) pair {
	var c pair
	wants, haves := texts(want), texts(have)
	wanted, seen := make(map[K]string, len(wants)), make(map[K]item[T], len(haves))
	for _, w := range wants {
		wanted[key(w.v)] = w.text
	}
	for _, h := range haves {
		k := key(h.v)
		if _, twice := seen[k]; !twice || h.text == wanted[k] {
			seen[k] = h
		}
	}
	for _, h := range haves {
		k := key(h.v)
		if _, ok := wanted[k]; !ok || seen[k].text != h.text {
			c.gone = append(c.gone, Op{Step: spec.Step{Action: spec.Remove, Object: object(h.v)}, Have: h.v})
		}
	}
	for _, w := range wants {
		h, ok := seen[key(w.v)]
		switch {
		case !ok:
			name := object(w.v)
			step := spec.Step{Action: spec.Add, Object: name, Detail: attributes(w.text, name)}
			c.come = append(c.come, Op{Step: step, Want: w.v})
		case h.text != w.text:
			step := spec.Step{Action: spec.Change, Object: object(w.v), Detail: spec.Difference(h.text, w.text)}
			c.come = append(c.come, Op{Step: step, Want: w.v, Have: h.v})
		}
	}
	return c
}

// item is an object with its text, which is what order and equality go by.
type item[T any] struct {
	v    T
	text string
}

func texts[T fmt.Stringer](list []T) []item[T] {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	out := make([]item[T], 0, len(list))
	for _, i := range byText(words) {
		if n := len(out); n == 0 || out[n-1].text != words[i] {
			out = append(out, item[T]{list[i], words[i]})
		}
	}
	return out
}

// byText is the order of words, of equal ones the first first. Inlined, it would be in
// the program once per type.
//
//go:noinline
func byText(words []string) []int {
	return numbered(len(words), func(a, b int) int { return strings.Compare(words[a], words[b]) })
}

// inSequence is list sorted by compare, of equal ones the first first.
func inSequence[T any](list []T, compare func(a, b T) int) []T {
	out := make([]T, 0, len(list))
	for _, i := range numbered(len(list), func(a, b int) int { return compare(list[a], list[b]) }) {
		out = append(out, list[i])
	}
	return out
}

// numbered is the order of n things, of equal ones the first first. It sorts their numbers,
// whatever they are: the compiler makes sorting once per type, and it takes 7 KB of the
// program.
func numbered(n int, compare func(a, b int) int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := compare(a, b); c != 0 {
			return c
		}
		return a - b
	})
	return order
}

// attributes is what text says beyond naming the object.
func attributes(text, object string) string {
	if rest, ok := strings.CutPrefix(text, object); ok {
		return strings.TrimSpace(rest)
	}
	_, rest, _ := strings.Cut(text, " ")
	return rest
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

type routeKey struct {
	dst         netip.Prefix
	unreachable bool
}

func keyRoute(r spec.Route) routeKey { return routeKey{r.Dst, r.Unreachable} }

type neighKey struct {
	link string
	ip   netip.Addr
}

func keyNeigh(n spec.Neigh) neighKey { return neighKey{n.Link, n.IP} }

// keyFDB leaves the destination out for a MAC that lives in one place; flood
// entries are a list.
func keyFDB(f spec.FDB) spec.FDB {
	if f.MAC != spec.ZeroMAC {
		f.Dst = netip.Addr{}
	}
	return f
}

// comparePeers orders peers by their whole key.
func comparePeers(want, have []spec.Peer) pair {
	object := func(p spec.Peer) string { return "peer " + p.Link + " " + p.Key }
	c := compare(want, have, keyPeer, object)
	for _, list := range [][]Op{c.gone, c.come} {
		for i := range list {
			p, ok := list[i].Want.(spec.Peer)
			if !ok {
				p = list[i].Have.(spec.Peer)
			}
			list[i].Step.Object = p.Object()
		}
	}
	return c
}

type memberKey struct {
	link string
	addr netip.Addr
}

func keyMember(m spec.Member) memberKey { return memberKey{m.Link, m.Addr} }

func objectMember(m spec.Member) string { return "member " + m.Addr.String() + " dev " + m.Link }

type peerKey struct{ link, key string }

func keyPeer(p spec.Peer) peerKey { return peerKey{p.Link, p.Key} }

// short names a public key on the screen.
func short(key string) string { return spec.ShortKey(key) }

func objectFDB(f spec.FDB) string { return f.String() }

type preservedKey struct {
	network, link string
	subnet        netip.Prefix
}

func keyPreserved(k spec.PreserveSource) preservedKey {
	return preservedKey{k.Network, k.Link, k.Subnet}
}

func objectPreserved(k spec.PreserveSource) string {
	if k.Link == "" {
		return "keep " + k.Subnet.String()
	}
	return "keep " + k.Subnet.String() + " dev " + k.Link
}

type natKey struct {
	network string
	subnet  netip.Prefix
}

func keyNAT(n spec.NAT) natKey { return natKey{n.Network, n.Subnet} }

// objectNAT names a masquerading. One without a subnet stands for what else is in
// our tables: what guards a VXLAN inside a mesh from outside.
func objectNAT(n spec.NAT) string {
	if !n.Subnet.IsValid() {
		if n.Bridge == "" { // of a table that nothing is wanted in
			return "table " + n.Network
		}
		return "guard " + n.Bridge
	}
	return "masquerade " + n.Subnet.String()
}

// mended makes the removal of a damaged guard its repair where the VXLAN that it
// guards is still there.
func mended(ops []Op, want *spec.Host) {
	for i, op := range ops {
		guard, ok := op.Have.(spec.NAT)
		inner := func(l spec.Link) bool { return l.Kind == spec.VXLAN && l.Name == guard.Bridge }
		if ok && !guard.Subnet.IsValid() && slices.ContainsFunc(want.Links, inner) {
			ops[i].Step.Action = spec.Change
		}
	}
}

// diffSysctls tells settings of links, which go with them, from global ones,
// which are restored.
func diffSysctls(want, have []spec.Sysctl) (ofLinks, global pair) {
	key := func(s spec.Sysctl) string { return s.Key }
	object := func(s spec.Sysctl) string { return "sysctl " + s.Key }
	all := compare(want, have, key, object)
	for _, op := range all.come {
		w := op.Want.(spec.Sysctl)
		op.Step.Detail = w.Value
		if h, ok := op.Have.(spec.Sysctl); ok {
			if h.Value == w.Value {
				continue // nothing to write: only the note differs whose it is
			}
			op.Step.Detail = h.Value + " -> " + w.Value
		}
		if w.Link != "" {
			ofLinks.come = append(ofLinks.come, op)
		} else {
			global.come = append(global.come, op)
		}
	}
	for _, op := range all.gone {
		h := op.Have.(spec.Sysctl)
		if h.Link != "" {
			continue
		}
		op.Step.Detail = h.Value + " -> " + h.Back
		if h.Kept != "" {
			op.Step.Detail = "stays " + h.Value + " for " + h.Kept
		}
		global.gone = append(global.gone, op)
	}
	// A host that forwards forgets the routers it learned unless accept_ra is 2
	// by then (linux, addrconf.c: rt6_purge_dflt_routers): first in, last out.
	first := func(a, b Op) int { return sysctl.AcceptsRA(b.Step.Object) - sysctl.AcceptsRA(a.Step.Object) }
	global.come = inSequence(global.come, first)
	global.gone = inSequence(global.gone, func(a, b Op) int { return first(b, a) })
	return ofLinks, global
}

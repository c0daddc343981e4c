//go:build linux

package nft

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/flocknet/flock/internal/spec"
)

// lookupSet is a set of addresses in a table of ours. Its name is a sum of what is to be in
// it, so that a rule that looks things up in it says all, and rules for the same addresses
// share one. What is in it is compared all the same.
type lookupSet struct {
	name     string
	six      bool
	elements []nftables.SetElement // by key: where a range begins, and what comes after it
}

// setPrefix begins the names of sets.
const setPrefix = "to-"

// among matches packets to one of list, which is of one family and not empty, or, not so,
// to none of them. Set is what that takes; nil for one prefix alone. The caller has matched the family.
func among(list []netip.Prefix, so bool) (match exprs, set *lookupSet) {
	if len(list) == 1 {
		op := expr.CmpOpEq
		if !so {
			op = expr.CmpOpNeq
		}
		return dst(op, list[0]), nil
	}
	set = addressSet(list)
	offset, length := ip4Dst, 4
	if set.six {
		offset, length = ip6Dst, 16
	}
	return exprs{load(networkLayer, offset, length), &expr.Lookup{SourceRegister: reg, SetName: set.name, Invert: !so}}, set
}

func addressSet(list []netip.Prefix) *lookupSet {
	s := &lookupSet{six: list[0].Addr().Is6()}
	sum := sha256.New()
	for _, r := range ranges(list) {
		fmt.Fprintln(sum, r.first, r.last)
		s.elements = append(s.elements, nftables.SetElement{Key: r.first.AsSlice()})
		if end := r.last.Next(); end.IsValid() { // otherwise the last address there is
			s.elements = append(s.elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	s.name = setPrefix + hex.EncodeToString(sum.Sum(nil)[:8])
	return s
}

type addrRange struct{ first, last netip.Addr }

// ranges are the addresses of list, in order, as few ranges as possible: the kernel
// refuses what overlaps (nft_rbtree_insert).
func ranges(list []netip.Prefix) []addrRange {
	list = slices.Clone(list)
	spec.SortPrefixesBy(list, func(a, b netip.Prefix) int { return a.Masked().Addr().Compare(b.Masked().Addr()) })
	var out []addrRange
	for _, p := range list {
		r := addrRange{p.Masked().Addr(), lastOf(p)}
		if n := len(out); n > 0 && (!out[n-1].last.Less(r.first) || out[n-1].last.Next() == r.first) {
			if out[n-1].last.Less(r.last) {
				out[n-1].last = r.last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// lastOf is the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// elementsAtOnce is how many elements fit in one message, whose list has a length of 16
// bits.
const elementsAtOnce = 1000

// addSet queues a set and what is in it.
func addSet(c *nftables.Conn, table *nftables.Table, s *lookupSet) error {
	set := &nftables.Set{Table: table, Name: s.name, Interval: true, KeyType: nftables.TypeIPAddr}
	if s.six {
		set.KeyType = nftables.TypeIP6Addr
	}
	if err := c.AddSet(set, nil); err != nil {
		return fmt.Errorf("add the set %s: %w", s.name, err)
	}
	for part := range slices.Chunk(s.elements, elementsAtOnce) {
		if err := c.SetAddElements(set, part); err != nil {
			return fmt.Errorf("fill the set %s: %w", s.name, err)
		}
	}
	return nil
}

// sameElements says whether found, in whatever order, is what is wanted.
func sameElements(want, found []nftables.SetElement) bool {
	ends := make(map[string]bool, len(found)) // by key: of a range's end, not its beginning
	for _, e := range found {
		ends[string(e.Key)] = e.IntervalEnd
	}
	return len(want) == len(found) && !slices.ContainsFunc(want, func(e nftables.SetElement) bool {
		end, there := ends[string(e.Key)]
		return !there || end != e.IntervalEnd
	})
}

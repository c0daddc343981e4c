//go:build linux

package bgp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/bgp/journal"
)

// attribute is one of an UPDATE, of a value that may be anything.
type attribute struct {
	flags, kind byte
	value       []byte
}

func (a attribute) bytes() []byte {
	if a.flags&0x10 != 0 || len(a.value) > 255 {
		return append(binary.BigEndian.AppendUint16([]byte{a.flags | 0x10, a.kind}, uint16(len(a.value))), a.value...)
	}
	return append([]byte{a.flags, a.kind, byte(len(a.value))}, a.value...)
}

func joined(list []attribute) []byte {
	var out []byte
	for _, a := range list {
		out = append(out, a.bytes()...)
	}
	return out
}

// known are sound attributes of all types that GoBGP reads, for sessions with AS
// numbers of four octets or two.
func known(four bool) []attribute {
	path, aggregator := []byte{2, 1, 0xfd, 0xe9}, []byte{0xfd, 0xe9, 10, 99, 0, 9}
	if four {
		path, aggregator = []byte{2, 1, 0, 0, 0xfd, 0xe9}, []byte{0, 0, 0xfd, 0xe9, 10, 99, 0, 9}
	}
	return []attribute{
		{0x40, 1, []byte{0}},
		{0x40, 2, path},
		{0x40, 3, []byte{10, 99, 0, 9}},
		{0x80, 4, []byte{0, 0, 0, 1}},
		{0x40, 5, []byte{0, 0, 0, 100}},
		{0x40, 6, nil},
		{0xc0, 7, aggregator},
		{0xc0, 8, []byte{0xfd, 0xe9, 0, 1}},
		{0x80, 9, []byte{9, 9, 9, 9}},
		{0x80, 10, []byte{8, 8, 8, 8, 7, 7, 7, 7}},
		{0x80, 14, append([]byte{0, 2, 1, 16, 0xfd, 0, 0, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 64}, 0xfd, 0, 0x17, 0x20, 0, 0, 0, 1)},
		{0x80, 15, []byte{0, 2, 1, 32, 0xfd, 0, 0x17, 0x21}},
		{0xc0, 16, []byte{0, 2, 0xfd, 0xe9, 0, 0, 0, 1}},
		{0xc0, 17, []byte{2, 1, 0, 1, 0, 1}},
		{0xc0, 18, []byte{0, 1, 0, 1, 10, 99, 0, 9}},
		{0xc0, 22, []byte{0, 6, 0, 0, 10, 10, 99, 0, 9}},
		{0xc0, 23, []byte{0, 8, 0, 12, 1, 8, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0}},
		{0xc0, 25, append([]byte{0, 2}, make([]byte, 18)...)},
		{0x80, 26, []byte{1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1}},
		{0x80, 29, []byte{4, 2, 0, 1, 1}},
		{0xc0, 32, []byte{0, 0, 0xfd, 0xe9, 0, 0, 0, 1, 0, 0, 0, 2}},
		{0xc0, 40, []byte{1, 0, 7, 0, 0, 0, 0, 0, 0, 1}},
		{0xc0, 40, append([]byte{5, 0, 34, 0, 1, 0, 30, 0}, make([]byte, 29)...)},
		{0xc0, 99, []byte{1, 2, 3}},
	}
}

// mandatory is how many of known a route cannot do without.
const mandatory = 3

var announcement = []byte{24, 172, 20, 0}

// malformed are UPDATEs that differ from a sound one in one thing each, by name.
func malformed(four bool) map[string][]byte {
	out := map[string][]byte{}
	all := known(four)
	for i, a := range all {
		name := fmt.Sprintf("attribute %d (%d)", a.kind, i)
		rest := slices.Clone(all[:mandatory])
		if i < mandatory {
			rest = slices.Delete(rest, i, i+1)
		}
		put := func(what string, list ...attribute) {
			out[name+" "+what] = update(joined(append(slices.Clone(rest), list...)), announcement)
		}
		put("sound", a)
		put("twice", a, a)
		out[name+" first"] = update(joined(append([]attribute{a}, rest...)), announcement)
		out[name+" alone"] = update(a.bytes(), nil)
		out[name+" missing"] = update(joined(rest), announcement)
		put("flags", attribute{a.flags ^ 0xc0, a.kind, a.value})
		put("long", attribute{a.flags, a.kind, append(slices.Clone(a.value), 0xff)})
		put("ones", attribute{a.flags, a.kind, slices.Repeat([]byte{0xff}, len(a.value))})
		for n := range min(len(a.value), 24) {
			put(fmt.Sprintf("cut to %d", n), attribute{a.flags, a.kind, a.value[:n]})
			if !four {
				continue
			}
			wild := slices.Clone(a.value)
			wild[n] = 0xc8
			put(fmt.Sprintf("octet %d wild", n), attribute{a.flags, a.kind, wild})
		}
		whole := joined(append(slices.Clone(rest), a))
		out[name+" overrun"] = update(whole[:len(whole)-1], announcement)
	}
	nextHops(out)
	oldAS(out, four)
	return out
}

// nextHops are of every length in MP_REACH_NLRI, for families that a session has or
// not.
func nextHops(out map[string][]byte) {
	for _, family := range [][]byte{{0, 1, 1}, {0, 2, 1}, {0, 1, 128}, {0, 2, 128}, {0, 25, 70}, {0, 1, 133}, {0x77, 0x77, 9}} {
		for _, n := range []int{0, 1, 3, 4, 5, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 255} {
			value := append(slices.Clone(family), byte(n))
			value = append(append(value, slices.Repeat([]byte{10}, n)...), 0, 24, 172, 21, 0)
			a := attribute{0x80, 14, value}
			out[fmt.Sprintf("next hop of %d octets in %v", n, family)] = update(append(joined(known(true)[:2]), a.bytes()...), nil)
		}
	}
}

// oldAS are the attributes by which AS numbers of four octets pass those who know two
// (RFC 6793), in every order.
func oldAS(out map[string][]byte, four bool) {
	list := known(four)
	paths := map[string][]byte{
		"empty": nil, "one": list[1].value, "confederation": append([]byte{3}, list[1].value[1:]...), "empty segment": {2, 0}, "set": append([]byte{1}, list[1].value[1:]...),
	}
	olds := map[string][]byte{
		"empty": nil, "one": {2, 1, 0, 1, 0, 1}, "three": {2, 3, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 3}, "empty segment": {2, 0}, "overrun": {2, 9, 0, 1, 0, 1},
		"confederation": {3, 1, 0, 1, 0, 1}, "two segments": {2, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 2},
	}
	for path, p := range paths {
		for old, o := range olds {
			base := []attribute{list[0], list[2], {0x40, 2, p}, {0xc0, 17, o}}
			for i, order := range permutations(len(base)) {
				if four && i%6 > 0 {
					continue // where nobody reads AS4_PATH, a few will do
				}
				out[fmt.Sprintf("AS_PATH %s, AS4_PATH %s, order %d", path, old, i)] = update(joined(inOrder(base, order)), announcement)
			}
		}
	}
	for n := range 10 {
		for m := range 10 {
			if four && m%4 > 0 {
				continue
			}
			a, b := attribute{0xc0, 7, slices.Repeat([]byte{0x5b}, n)}, attribute{0xc0, 18, slices.Repeat([]byte{0x5b}, m)}
			out[fmt.Sprintf("AGGREGATOR of %d, AS4_AGGREGATOR of %d", n, m)] = update(joined(append(slices.Clone(list[:mandatory]), a, b)), announcement)
			out[fmt.Sprintf("AS4_AGGREGATOR of %d, AGGREGATOR of %d", m, n)] = update(joined(append([]attribute{b, a}, list[:mandatory]...)), announcement)
		}
	}
}

func inOrder(list []attribute, order []int) []attribute {
	out := make([]attribute, len(list))
	for i, at := range order {
		out[i] = list[at]
	}
	return out
}

// permutations are all orders of n things.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}

// opens are first messages that are odd: capabilities that there are not, or cut, or
// many, optional parameters of other kinds, versions, holds.
func opens() map[string][]byte {
	open := func(parameters ...byte) []byte {
		return frame(bgp.BGP_MSG_OPEN, append([]byte{4, 0xfd, 0xe9, 14, 16, 9, 9, 9, 9, byte(len(parameters))}, parameters...)...)
	}
	out := map[string][]byte{
		"none": open(), "version": frame(1, 5, 0xfd, 0xe9, 14, 16, 9, 9, 9, 9, 0), "hold": frame(1, 4, 0xfd, 0xe9, 0, 1, 9, 9, 9, 9, 0),
		"short": frame(1, 4, 0xfd), "identifier": frame(1, 4, 0xfd, 0xe9, 14, 16, 0, 0, 0, 0, 0), "another AS": frame(1, 4, 0, 9, 14, 16, 9, 9, 9, 9, 0),
		"authentication": open(1, 2, 3, 4), "unknown parameter": open(77, 2, 3, 4), "cut parameter": open(2, 200, 1), "extended": open(255, 0, 4, 2, 0, 1, 2),
		"a flood of families": open(append([]byte{2, 240}, slices.Repeat([]byte{1, 4, 0x77, 0x77, 0, 9}, 40)...)...),
	}
	for code := range 256 {
		for _, n := range []byte{0, 1, 4, 8} {
			value := slices.Repeat([]byte{0xc8}, int(n))
			out[fmt.Sprintf("capability %d of %d", code, n)] = open(append([]byte{2, n + 2, byte(code), n}, value...)...)
		}
		out[fmt.Sprintf("capability %d overrun", code)] = open(2, 3, byte(code), 200, 1)
	}
	return out
}

// TestMalformedMessages: whatever a neighbour says costs its own session at most.
func TestMalformedMessages(t *testing.T) {
	v := victimOf(t)
	for _, four := range []bool{true, false} {
		list := malformed(four)
		t.Run(fmt.Sprintf("updates, four octets %v", four), func(t *testing.T) {
			batches(t, list, func(message []byte) (journal.Heard, error) { return v.attack(four, nil, message) })
			if err := v.lives(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("opens", func(t *testing.T) {
		batches(t, opens(), func(message []byte) (journal.Heard, error) { return v.attack(true, message) })
		if err := v.lives(); err != nil {
			t.Error(err)
		}
	})
	t.Run("kinds", func(t *testing.T) {
		list := map[string][]byte{}
		for kind := range 256 {
			list[fmt.Sprint(kind)] = frame(byte(kind), 1, 2, 3, 4)
			if kind <= bgp.BGP_MSG_ROUTE_REFRESH+1 {
				list[fmt.Sprint(kind, " empty")] = frame(byte(kind))
			}
		}
		batches(t, list, func(message []byte) (journal.Heard, error) { return v.attack(true, nil, message) })
		if err := v.lives(); err != nil {
			t.Error(err)
		}
	})
}

// batches attacks with each message of list, a few at a time.
func batches(t *testing.T, list map[string][]byte, attack func([]byte) (journal.Heard, error)) {
	t.Helper()
	t.Logf("%d messages", len(list))
	turn := make(chan struct{}, 4)
	failed := make(chan error, len(list))
	for name, message := range list {
		turn <- struct{}{}
		go func() {
			defer func() { <-turn }()
			if _, err := attack(message); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		}()
	}
	for range cap(turn) {
		turn <- struct{}{}
	}
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// What a neighbour did wrong is told by the name of it.
func TestFaultsAreTold(t *testing.T) {
	v := victimOf(t)
	for name, c := range map[string]struct {
		four    bool
		message []byte
		want    string
	}{
		"a next hop without octets":    {true, update(slices.Concat(joined(known(true)[:2]), []byte{0x80, 14, 9, 0, 2, 1, 0, 0, 24, 0xfd, 0, 0}), nil), "we ended the session: "},
		"a Prefix-SID without content": {true, update(slices.Concat(attributes, []byte{0xc0, 40, 4, 5, 0, 1, 0}), announcement), ""},
		"a kind that there is not":     {true, frame(99, 1, 2, 3), "we ended the session: "},
		"attributes that are cut":      {true, frame(2, 0, 0, 0, 200, 0x40, 1, 1, 0), "we ended the session: "},
		"AS4_PATH before AS_PATH":      {false, update(joined([]attribute{{0x40, 1, []byte{0}}, {0x40, 3, []byte{10, 99, 0, 9}}, {0xc0, 17, []byte{2, 1, 0, 1, 0, 1}}, {0x40, 2, nil}}), announcement), ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := v.attack(c.four, nil, c.message)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(h.Why)
			if !strings.Contains(h.Why, c.want) {
				t.Errorf("want %q, have %+v", c.want, h)
			}
			if err := v.lives(); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzSessions: a neighbour's whole session, of an OPEN and what comes after it, goes
// through all that the daemon does with it, and others' sessions live on.
func FuzzSessions(f *testing.F) {
	for _, four := range []bool{true, false} {
		list := malformed(four)
		for _, name := range []string{"AS_PATH empty, AS4_PATH one, order 0", "attribute 40 (22) cut to 7", "next hop of 0 octets in [0 2 1]", "attribute 23 (16) sound"} {
			f.Add(four, []byte(nil), list[name])
		}
	}
	for _, name := range []string{"none", "capability 64 of 2", "capability 69 of 8"} {
		f.Add(true, opens()[name], update(attributes, announcement))
	}
	n := 0
	f.Fuzz(func(t *testing.T, four bool, open, messages []byte) {
		if len(open)+len(messages) > 8192 {
			return
		}
		v := victimOf(t)
		if len(open) == 0 {
			open = nil
		}
		if _, err := v.attack(four, open, sized(messages)); err != nil {
			t.Fatal(err)
		}
		if n++; n%64 == 0 {
			if err := v.lives(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// sized gives a message the marker and length that it should have: what is wrong with
// these alone is soon found.
func sized(m []byte) []byte {
	m = slices.Clone(m)
	if len(m) >= bgp.BGP_HEADER_LENGTH {
		copy(m, slices.Repeat([]byte{0xff}, 16))
		binary.BigEndian.PutUint16(m[16:], uint16(len(m))) //nolint:gosec // 8192 at most
	}
	return m
}

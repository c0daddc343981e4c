package explain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/prefix"
)

// Families of tables that flock has.
const (
	bridgeFamily = "bridge"
	inetFamily   = "inet"
)

// chains are those that a table of flock's may have, in their order, with what makes them
// base chains. The agent writes only those that have rules.
func chains(family string) [][2]string {
	if family == bridgeFamily {
		return [][2]string{
			{"prerouting", "type filter hook prerouting priority -300; policy accept;"},
			{"postrouting", "type filter hook postrouting priority 0; policy accept;"},
		}
	}
	return [][2]string{
		{"postrouting", "type nat hook postrouting priority srcnat; policy accept;"},
		{"input", "type filter hook input priority filter; policy accept;"},
		{"forward", "type filter hook forward priority filter; policy accept;"},
		{"isolate", ""},
		{"closed", ""},
		{"resolve", "type nat hook prerouting priority dstnat; policy accept;"},
		{"keep", "type nat hook postrouting priority 99; policy accept;"},
	}
}

// table is what a network has in one of the cluster's tables.
type table struct {
	family string
	sets   []string // as text
	rules  map[string][]string
}

func newTable(family string) *table { return &table{family: family, rules: map[string][]string{}} }

// add adds a rule for the object that tag names.
func (t *table) add(chain, tag string, words ...string) {
	t.rules[chain] = append(t.rules[chain], line(append(words, `comment "`+tag+`"`)...))
}

func (t *table) text(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", t.family, name)
	for _, s := range t.sets {
		b.WriteString(s)
	}
	for _, c := range chains(t.family) {
		if len(t.rules[c[0]]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\tchain %s {\n", c[0])
		if c[1] != "" {
			b.WriteString("\t\t" + c[1] + "\n")
		}
		for _, r := range t.rules[c[0]] {
			b.WriteString("\t\t" + r + "\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// set is a set of list, which is of one family and not empty, in the table: @NAME. The name
// is a sum of what is in it, as the agent has it.
func (t *table) set(list []netip.Prefix) string {
	kind := "ipv6_addr"
	if list[0].Addr().Is4() {
		kind = "ipv4_addr"
	}
	sum := sha256.New()
	var elements []string
	for _, p := range ranges(list) {
		fmt.Fprintln(sum, p[0], p[1])
		element := p[0].String()
		if p[0] != p[1] {
			element += "-" + p[1].String()
		}
		elements = append(elements, element)
	}
	name := "to-" + hex.EncodeToString(sum.Sum(nil)[:8])
	text := fmt.Sprintf("\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = { %s }\n\t}\n", name, kind, strings.Join(elements, ", "))
	if !slices.Contains(t.sets, text) {
		t.sets = append(t.sets, text)
	}
	return "@" + name
}

// ranges are the first and last addresses of list, in order, as few ranges as possible.
func ranges(list []netip.Prefix) [][2]netip.Addr {
	var out [][2]netip.Addr
	for _, p := range prefix.Aggregate(list) {
		first, last := p.Masked().Addr(), prefix.Last(p)
		if n := len(out); n > 0 && out[n-1][1].Next() == first {
			out[n-1][1] = last
			continue
		}
		out = append(out, [2]netip.Addr{first, last})
	}
	return out
}

func ofFamily(list []netip.Prefix, four bool) []netip.Prefix {
	return of(list, func(p netip.Prefix) bool { return p.Addr().Is4() == four })
}

// ip is the keyword of the family of addresses.
func ip(four bool) string {
	if four {
		return "ip"
	}
	return "ip6"
}

// inet matches the family of addresses in a table of both.
func inet(four bool) string {
	if four {
		return "meta nfproto ipv4"
	}
	return "meta nfproto ipv6"
}

// ether matches it by the Ethernet type.
func ether(four bool) string {
	if four {
		return "ether type ip"
	}
	return "ether type ip6"
}

// single is p, without its length where it is one address.
func single(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

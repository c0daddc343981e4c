package doctor

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// nested is an attribute of a netlink message.
func nested(kind int, parts ...[]byte) []byte {
	var value []byte
	for _, p := range parts {
		value = append(value, p...)
	}
	b := binary.LittleEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.LittleEndian.AppendUint16(b, uint16(kind)), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// chain is a message about a base chain of the table t, for a hook, as nftables has it.
func chain(family, hook, policy int, name string) []byte {
	return append([]byte{byte(family), 0, 0, 0}, concat(stringAttr(1, "t"), stringAttr(3, name), nested(4, nested(1, number(hook)), nested(2, number(0))), nested(5, number(policy)), stringAttr(7, "filter"))...)
}

func stringAttr(kind int, text string) []byte { return nested(kind, append([]byte(text), 0)) }

func concat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// rule is a message about a rule with expressions.
func rule(family int, chain string, exprs ...[]byte) []byte {
	return append([]byte{byte(family), 0, 0, 0}, concat(stringAttr(1, "t"), stringAttr(2, chain), nested(4, exprs...))...)
}

func expression(name string, data ...[]byte) []byte {
	return nested(1, stringAttr(1, name), nested(2, data...))
}

// port compares the UDP port that a packet goes to.
func port(n int) [][]byte {
	two := binary.BigEndian.AppendUint16(nil, uint16(n))
	return [][]byte{
		expression("payload", nested(1, number(1)), nested(2, number(2)), nested(3, number(2)), nested(4, number(2))),
		expression("cmp", nested(1, number(1)), nested(2, number(0)), nested(3, nested(1, two))),
	}
}

func by(device string) [][]byte {
	return [][]byte{
		expression("meta", nested(1, number(1)), nested(2, number(6))),
		expression("cmp", nested(1, number(1)), nested(2, number(0)), nested(3, nested(1, append([]byte(device), make([]byte, 16-len(device))...)))),
	}
}

func decides(code int) []byte {
	return expression("immediate", nested(1, number(0)), nested(2, nested(2, nested(1, number(code)))))
}

// TestIncoming: what for sure lets nothing in is named with a line that does; what may let it in,
// and flock's own rules, are not.
func TestIncoming(t *testing.T) {
	const inetFamily, input, drop, accept = 1, 1, 0, 1
	limited := expression("limit", nested(1, number(1)))
	tunnel := "chain inet t in lets nothing in on UDP port 4789 from s2 (10.99.0.2); nft 'insert rule inet t in udp dport 4789 accept'"
	bridge := "chain inet t in lets nothing in from vxl0 to DHCP or DNS; nft 'insert rule inet t in iifname vxl0 udp dport { 53, 67, 547 } accept' && nft 'insert rule inet t in iifname vxl0 tcp dport 53 accept'"
	for _, c := range []struct {
		name   string
		policy int
		rules  [][][]byte
		want   []string
	}{
		{"nothing", accept, nil, nil},
		{"a policy", drop, nil, []string{tunnel, bridge}},
		{"the tunnel", drop, [][][]byte{append(by("vxl0"), decides(accept))}, []string{tunnel}},
		{"the bridge", drop, [][][]byte{append(port(4789), decides(accept))}, []string{bridge}},
		{"DNS alone", accept, [][][]byte{append(port(53), decides(drop))}, []string{bridge}},
		{"a last rule", accept, [][][]byte{append(port(22), decides(accept)), {decides(drop)}}, []string{tunnel, bridge}},
		{"perhaps", drop, [][][]byte{{limited, decides(accept)}}, nil},
	} {
		facts, all := healthy()
		facts.Cluster.Networks["vx1"].Members = []string{"s1", "s2"}
		var rules [][]byte
		for _, exprs := range c.rules {
			rules = append(rules, rule(inetFamily, "in", exprs...))
		}
		answers := [][][]byte{{chain(inetFamily, input, c.policy, "in")}, rules, nil}
		asked := 0
		r, err := Rules("amd64", func(q []string) (out []string, err error) {
			asked++
			for i := range q {
				var words []string
				for _, b := range answers[i] {
					words = append(words, base64.StdEncoding.EncodeToString(b))
				}
				out = append(out, strings.Join(words, " "))
			}
			return out, nil
		})
		if err != nil || asked != 1 {
			t.Fatal(err, asked)
		}
		all[0].Rules = r
		all[0].says["devices"] = strings.NewReplacer(`"ifname":"eth0"`, `"ifindex":2,"ifname":"eth0"`, `"ifname":"vxl0"`, `"ifindex":3,"ifname":"vxl0"`,
			`"local":"10.0.4.1","prefixlen":32`, `"local":"10.0.4.192","prefixlen":32`).Replace(all[0].says["devices"])
		all[0].Want.DHCPs = []spec.DHCP{{
			Network: "vx1", Bridge: "vxl0", DNS: []netip.Addr{netip.MustParseAddr("10.0.4.192")},
			Ranges: []spec.Range{{Subnet: netip.MustParsePrefix("10.0.4.0/24"), First: netip.MustParseAddr("10.0.4.2"), Last: netip.MustParseAddr("10.0.4.191")}},
		}}
		var have []string
		for _, f := range examine(facts, all) {
			have = append(have, f.What+"; "+f.Fix)
		}
		if fmt.Sprintf("%q", have) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s: want\n%q\nhave\n%q", c.name, c.want, have)
		}
		all[0].Rules.Chains = append([]*kernel.Chain(nil), &kernel.Chain{Family: inetFamily, Table: "flock-default", Name: "in", Type: "filter", Hook: kernel.Input, Drop: true})
		if found := examine(facts, all); len(found) != 0 {
			t.Errorf("flock's own: %+v", found)
		}
	}
}

package state

import (
	"slices"
	"testing"
)

// TestDifferences: what two desired states have apart, and nothing of what servers reported.
func TestDifferences(t *testing.T) {
	const was = `
[server.s1]
address = "10.0.0.1"
[server.s1.facts]
arch = "amd64"
[server.s2]
address = "10.0.0.2"
[[server.s2.attached]]
container = "docker/web"
interface = "eth1"
bridge = "vxl0"
[network.vx1]
type = "vxlan"
mtu = 1400
members = ["s1", "s2"]
[network.vx1.allocated.s1]
id = 1
addresses = ["10.0.4.1"]
[network.old]
type = "vxlan"
`
	for _, test := range []struct {
		name, is string
		want     []string
	}{
		{"the same", was, nil},
		{"facts alone", `
[server.s1]
address = "10.0.0.1"
[server.s2]
address = "10.0.0.2"
[[server.s2.attached]]
container = "docker/web"
interface = "eth1"
bridge = "vxl0"
[network.vx1]
type = "vxlan"
mtu = 1400
members = ["s1", "s2"]
[network.old]
type = "vxlan"
`, nil},
		{"all sorts", `
[server.s1]
address = "10.0.0.9"
[server.s2]
address = "10.0.0.2"
[server.s3]
address = "10.0.0.3"
user = "admin"
[network.vx1]
type = "vxlan"
members = ["s2", "s3"]
[network.vx1.allocated.s1]
id = 1
addresses = ["10.0.4.7"]
[network.new]
type = "l2"
members = ["s1"]
`, []string{
			"~ server s1: address 10.0.0.1 -> 10.0.0.9",
			"~ server s2: attached -(bridge vxl0, container docker/web, interface eth1)",
			"+ server s3: address 10.0.0.3; user admin",
			"+ network new: members s1; type l2",
			"- network old",
			"~ network vx1: allocated.s1.addresses +10.0.4.7 -10.0.4.1; members +s3 -s1; mtu 1400 -> none",
		}},
		{"another order", `
[server.s1]
address = "10.0.0.1"
[server.s2]
address = "10.0.0.2"
[[server.s2.attached]]
container = "docker/web"
interface = "eth1"
bridge = "vxl0"
[network.vx1]
type = "vxlan"
mtu = 1400
members = ["s2", "s1"]
[network.old]
type = "vxlan"
`, []string{"~ network vx1: members in another order: s2 s1"}},
	} {
		from, err := Parse([]byte(was), "was")
		if err != nil {
			t.Fatal(err)
		}
		to, err := Parse([]byte(test.is), "is")
		if err != nil {
			t.Fatal(err)
		}
		steps, err := Differences(from, to)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, s := range steps {
			have = append(have, s.String())
		}
		if !slices.Equal(have, test.want) {
			t.Errorf("%s:\nwant %q\nhave %q", test.name, test.want, have)
		}
	}
}

package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/view"
)

const keyed = three + `
[network.wirex]
type = "wireguard"
subnet = ["10.0.8.0/24"]
lead = "s1"
members = ["s1", "s2"]
shares = ["s2:10.0.11.0/24"]
[network.wirex.allocated.s1]
id = 1
addresses = ["10.0.8.1"]
key = "6LwWPILu4YczKIx9SsY22zpt6wE+8tN7aDIr4g7cRcw="
[network.wirex.allocated.s2]
id = 2
addresses = ["10.0.8.2"]
key = "rTKIRqoYsyozWBY3RRHKwQY8cEuMV5meUdqfkIKQp6Q="
`

// Roles are checked before anybody is contacted, and every refusal says how it is
// done.
func TestRolesOnTheCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"addnetwork wirex s3":                                          "next:  flock addnetwork wirex client s3",
		"addnetwork wirex server":                                      "next:  flock addnetwork wirex server MEMBER",
		"addnetwork wirex server s3":                                   "lead server already, s1",
		"addnetwork wirex server s2 s3":                                "one lead server",
		"addnetwork wirex client":                                      "nothing follows",
		"addnetwork wirex subnet":                                      "SERVER:CIDR...",
		"addnetwork wirex subnet s2":                                   "names no subnet",
		"addnetwork wirex subnet s2:10.0.12.1/24":                      "bits set behind",
		"addnetwork wirex foo s3":                                      "next:  flock addnetwork wirex client s3",
		"addnetwork wirex foo bar":                                     "next:  flock addnetwork wirex client SERVER",
		"addnetwork vx1 client s3":                                     "no clients",
		"delnetwork wirex s2 -y":                                       "next:  flock delnetwork wirex client s2",
		"delnetwork wirex server s1 -y":                                "next:  flock removenetwork wirex",
		"delnetwork wirex client s1 -y":                                "only with the network",
		"delnetwork wirex subnet s2:10.0.11.0/24 --force -y":           "next:  leave --force away",
		"delnetwork wirex client":                                      "nothing follows",
		"delserver s1 --force -y":                                      "next:  flock removenetwork wirex",
		"delserver s2 -y":                                              "is a member of",
		"rotatekeys vx1":                                               "has no keys",
		"rotatekeys vx9":                                               "unknown network vx9",
		"rotatekeys wirex s3":                                          "not a member",
		"createnetwork w2 wireguard --topology ring":                   "unknown topology",
		"createnetwork w2 wireguard -v 5":                              "has no -v",
		"createnetwork w2 wireguard --keepalive 0":                     "out of range",
		"createnetwork v2 vxlan --topology hub":                        "has no --topology",
		"addserver s9 root@192.0.2.9 --nat --endpoint vpn.example.org": "leave one of them away",
	} {
		b := newBench(t, keyed)
		if code := b.run(strings.Fields(args)...); code != command.ExitUsage || b.engine.contacts > 0 {
			t.Errorf("%s: exit status %d, %d contacts", args, code, b.engine.contacts)
		}
		if !strings.Contains(b.err.String(), want) || !strings.Contains(b.err.String(), "next:") {
			t.Errorf("%s: want %q, have\n%s", args, want, b.err.String())
		}
	}
}

func TestRolesChangeTheFile(t *testing.T) {
	b := newBench(t, keyed)
	for _, args := range []string{
		"addnetwork wirex client s3", "addnetwork wirex subnet s3:10.0.12.0/24", "delnetwork wirex subnet s2:10.0.11.0/24 -y",
		"delnetwork wirex client s2 -y", "createnetwork vpx l2 --keepalive 15", "addserver s4 root@192.0.2.4 --endpoint vpn.example.org:4000",
	} {
		if code := b.run(strings.Fields(args)...); code != command.ExitDone {
			t.Fatalf("%s: exit status %d: %s", args, code, b.err.String())
		}
	}
	c := b.cluster()
	n := c.Networks["wirex"]
	if !slices.Equal(n.Members, []string{"s1", "s3"}) || !slices.Equal(n.Shares, []string{"s3:10.0.12.0/24"}) || n.Lead != "s1" {
		t.Errorf("members %v, shares %v, lead %s", n.Members, n.Shares, n.Lead)
	}
	if vpx := c.Networks["vpx"]; vpx.Keepalive != 15 || vpx.Bridge != "vpl0" || vpx.Mesh.String() != "10.0.9.0/24" || vpx.Port != 51821 {
		t.Errorf("vpx: %+v", vpx)
	}
	if s := c.Servers["s4"]; s.Endpoint != "vpn.example.org:4000" {
		t.Errorf("s4: %+v", s)
	}
}

func TestListingOfAMesh(t *testing.T) {
	b := newBench(t, strings.Replace(keyed, "[server.s2]\n", "[server.s2]\nnat = true\n", 1))
	b.run("listnetworks")
	for _, want := range []string{"wireguard", "10.0.8.0/24", "topology\u00a0mesh", "lead\u00a0s1", "subnet\u00a0s2:10.0.11.0/24"} {
		if !strings.Contains(strings.ReplaceAll(b.out.String(), " ", "\u00a0"), want) {
			t.Errorf("want %q in\n%s", want, b.out.String())
		}
	}
	b.run("listnetworks", "wirex", "-o", "json")
	for _, want := range []string{`"lead": "s1"`, `"topology": "mesh"`, `"shared": [`, `"10.0.11.0/24"`, `"key": "rTKIRqo`, `"underlay": "10.99.0.2"`, `"mtu": 1440`} {
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("want %q in\n%s", want, b.out.String())
		}
	}
	if strings.Contains(b.out.String(), `"dhcp"`) {
		t.Errorf("a layer 3 network with DHCP:\n%s", b.out.String())
	}
}

func TestCompletionOffersRoles(t *testing.T) {
	b := newBench(t, keyed)
	for args, want := range map[string]string{
		"addnetwork wirex ":        "client subnet",
		"addnetwork wirex client ": "s3 local",
		"addnetwork wirex subnet ": "s1 s2",
		"delnetwork wirex ":        "client subnet",
		"delnetwork wirex client ": "s1 s2",
		"delnetwork wirex subnet ": "s2:10.0.11.0/24",
		"rotatekeys ":              "wirex",
		"rotatekeys wirex ":        "s1 s2",
	} {
		b.run(append([]string{"__completeNoDesc"}, strings.Split(args, " ")...)...)
		have := strings.Fields(b.out.String())
		if n := len(have); n > 0 {
			have = have[:n-1]
		}
		if !slices.Equal(have, strings.Fields(want)) {
			t.Errorf("%q: want %q, have %q", args, want, have)
		}
	}
}

// Keys turn server by server in one change.
func TestRotationIsOneChange(t *testing.T) {
	b := newBench(t, keyed)
	b.engine.servers = []change.Server{{Name: "s1", State: change.Done, Report: &spec.Report{}}, {Name: "s2", State: change.Unchanged}}
	if code := b.run("rotatekeys", "wirex", "-o", "json"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	var doc view.OutcomeDoc
	if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil || b.engine.contacts != 1 {
		t.Fatalf("%d changes, %v:\n%s", b.engine.contacts, err, b.out.String())
	}
	if want := []change.Rotation{{Network: "wirex", Server: "s1"}, {Network: "wirex", Server: "s2"}}; !slices.Equal(b.engine.request.Rotate, want) {
		t.Errorf("want %v, have %v", want, b.engine.request.Rotate)
	}
	if code := b.run("rotatekeys", "vx9", "-o", "json"); code != command.ExitUsage || b.out.String() != `{"format":1,"error":{"code":"not-found","what":"unknown network vx9","where":"network vx9","next":"flock listnetworks"}}`+"\n" {
		t.Errorf("bad usage: exit status %d, %q", code, b.out.String())
	}
}

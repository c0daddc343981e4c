package cli

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
)

// Tunnels are checked before anybody is contacted, and every refusal says how it is
// done.
func TestTunnelsOnTheCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"addtunnel gre s1":                                                "addtunnel",
		"addtunnel vxlan s1 s2":                                           "one of: gre, ipip",
		"addtunnel gre s1 s1":                                             "a tunnel from s1 to itself connects nothing",
		"addtunnel gre s1 s9":                                             "unknown server s9",
		"addtunnel gre s1 s2 --key x":                                     "--key",
		"addtunnel gre s1 s2 --key 0":                                     "--key with a number from 1 to 4294967295",
		"addtunnel gre s1 s2 --ttl 256":                                   "--ttl with a number from 1 to 255",
		"addtunnel ipip s1 s2 --key 7":                                    "next:  flock addtunnel gre s1 s2",
		"addtunnel gre s1 s2 -l 10.99.0.300":                              "not an IP address",
		"addtunnel gre s1 s2 --addresses 10.0.6.1,10.0.6.2":               "not an address with its prefix length",
		"addtunnel gre s1 s2 --addresses 10.0.6.1/30":                     "two addresses",
		"addtunnel gre s1 s2 --addresses 10.0.6.1/30,10.0.7.2/30":         "not two addresses of one subnet",
		"addtunnel gre s1 s2 --name vx1":                                  "the name is taken",
		"addtunnel gre s1 s2 --name subnet":                               "reserved",
		"addtunnel ipip s1 s2 -l fd99::1 -r fd99::2":                      "next:  flock addtunnel gre s1 s2",
		"deltunnel vx1 -y":                                                "next:  flock removenetwork vx1",
		"createnetwork g gre":                                             "next:  flock addtunnel gre SERVER1 SERVER2",
		"addnetwork gre-s2-s3 s1":                                         "these two ends for good",
		"addnetwork gre-s2-s3 client s1":                                  "these two ends for good",
		"addnetwork gre-s2-s3 subnet s1:10.0.10.0/24":                     "not a member",
		"delnetwork gre-s2-s3 s2 -y":                                      "flock deltunnel gre-s2-s3",
		"delserver s2 -y":                                                 "flock deltunnel gre-s2-s3",
		"addtunnel gre s2 s3 --name again":                                "next:  --key with a number of its own",
		"addtunnel gre s2 s1 --addresses 10.0.6.2/30,10.0.6.1/30":         "overlaps",
		"addtunnel gre s2 s1 --addresses 10.0.6.5/30,10.0.6.6/30,fd::1/8": "two addresses, or four",
	} {
		b := newBench(t, tunneledToml)
		if code := b.run(strings.Fields(args)...); code != command.ExitUsage || b.engine.contacts > 0 {
			t.Errorf("%s: exit status %d, %d contacts", args, code, b.engine.contacts)
		}
		if !strings.Contains(b.err.String(), want) || !strings.Contains(b.err.String(), "next:") {
			t.Errorf("%s: want %q, have\n%s", args, want, b.err.String())
		}
	}
}

const tunneledToml = three + `
[network.gre-s2-s3]
type = "gre"
tunnel = true
members = ["s2", "s3"]
subnet = ["10.0.6.0/30"]
shares = ["s3:10.0.12.0/24"]
[network.gre-s2-s3.allocated.s2]
id = 1
addresses = ["10.0.6.1"]
[network.gre-s2-s3.allocated.s3]
id = 2
addresses = ["10.0.6.2"]
`

func TestTunnelsChangeTheFile(t *testing.T) {
	b := newBench(t, tunneledToml)
	for _, args := range []string{
		"addtunnel ipip s1 s2", "addtunnel gre s2 s3 --name second --key 4294967295 --ttl 9 --addresses 192.168.7.2/30,192.168.7.1/30,fd07::1/127,fd07::/127",
		"addnetwork second subnet s2:10.0.11.0/24", "delnetwork gre-s2-s3 subnet s3:10.0.12.0/24 -y", "deltunnel gre-s2-s3 -y",
	} {
		if code := b.run(strings.Fields(args)...); code != command.ExitDone {
			t.Fatalf("%s: exit status %d: %s", args, code, b.err.String())
		}
	}
	c := b.cluster()
	if c.Networks["gre-s2-s3"] != nil {
		t.Error("the tunnel is still there")
	}
	if a := c.Networks["ipip-s1-s2"].Allocated; a["s1"].Addrs[0].String() != "10.0.6.5" || a["s2"].Addrs[0].String() != "10.0.6.6" {
		t.Errorf("dealt %+v, %+v", a["s1"], a["s2"])
	}
	n := c.Networks["second"]
	if n.Key != 4294967295 || n.TTL != 9 || len(n.Subnets) != 2 || n.Allocated["s2"].Addrs[0].String() != "192.168.7.2" || n.Shares[0] != "s2:10.0.11.0/24" {
		t.Errorf("second: %+v", n)
	}
}

func TestListingOfATunnel(t *testing.T) {
	b := newBench(t, three+strings.ReplaceAll(strings.TrimPrefix(tunneledToml, three), "s3", "s1")) // s3 was never contacted
	for args, wants := range map[string][]string{
		"listnetworks":                    {"gre-s2-s1", "10.0.6.0/30", "tunnel", "mtu 1476", "s2 s1", "subnet s1:10.0.12.0/24"},
		"listnetworks gre-s2-s1":          {"gre-s2-s1: gre 10.0.6.0/30", "SHARED", "10.0.12.0/24", "10.0.6.1", "eth0"},
		"listnetworks gre-s2-s1 -o json":  {`"type": "gre"`, `"tunnel": true`, `"device": "gre-s2-s1"`, `"ttl": 64`, `"mtu": 1476`, `"masquerade": false`, `"10.0.6.2"`},
		"__completeNoDesc addtunnel ":     {"gre\nipip"},
		"__completeNoDesc addtunnel gre ": {"s1\ns2\ns3"},
		"__completeNoDesc deltunnel ":     {"gre-s2-s1\n:"},

		"__completeNoDesc addnetwork gre-s2-s1 ":        {"subnet\n:"},
		"__completeNoDesc addnetwork gre-s2-s1 subnet ": {"s1\ns2\n:"},
		"__completeNoDesc delnetwork gre-s2-s1 subnet ": {"s1:10.0.12.0/24\n:"},
	} {
		b.run(strings.Split(args, " ")...)
		for _, want := range wants {
			if have := strings.ReplaceAll(b.out.String(), screen.NoBreak, " "); !strings.Contains(have, want) {
				t.Errorf("%s: want %q in\n%s", args, want, have)
			}
		}
	}
}

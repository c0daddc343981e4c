package cli

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// bgpThree is the three servers, two of them in bnet, s1 with a router.
const bgpThree = three + `
[network.bnet]
type = "bgp"
as = 64512
mode = "mesh"
hold = 90
members = ["s1", "s2"]
shares = ["s1:10.0.10.0/24", "s2:10.0.11.0/24"]
[[network.bnet.external]]
server = "s1"
address = "10.99.0.254"
as = 65001
`

func TestBadBGPContactsNobody(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // in the message
	}{
		{"createbgp b2", "too few words"},
		{"createbgp b2 s1 s3", "one word too many"},
		{"createbgp bnet s3", "taken"},
		{"createbgp b2 s9", "unknown server s9"},
		{"createbgp b2 s1", "belongs to the BGP network bnet"},
		{"createbgp b2 s3 --as 0", "reserved"},
		{"createbgp b2 s3 --as 23456", "reserved"},
		{"createbgp b2 s3 --as 4294967295", "reserved"},
		{"createbgp b2 s3 --as 4294967296", "not the number"},
		{"createbgp b2 s3 --as AS65001", "not the number"},
		{"createbgp b2 s3 --mode ring", "unknown mode"},
		{"createbgp b2 s3 --hold 2", "out of range"},
		{"createbgp b2 s3 --hold 65536", "out of range"},
		{"createbgp b2 s3 --bfd=49", "out of range"},
		{"createbgp b2 s3 --bfd=60001", "out of range"},
		{"createbgp b2 s3 --bfd=fast", "no number of milliseconds"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --bfd=-1", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --bfd=0x64", "no number of milliseconds"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --bfd=300ms", "no number of milliseconds"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --bfd 300", "next:  flock addbgp bnet external s1 10.99.0.9 --as 65001 --bfd=300"},
		{"createbgp b2 --bfd 300 s3", "next:  flock createbgp b2 --bfd=300 s3"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --bfd --multihop 2", "on the server's own subnets"},
		{"addbgp bnet peer s3 --bfd", "belongs to external"},
		{"createnetwork b2 bgp", "begins with its first member"},
		{"addnetwork bnet s3", "bnet is a bgp network"},
		{"addnetwork bnet subnet s1:10.0.13.0/24", "bnet is a bgp network"},
		{"delnetwork bnet s2", "bnet is a bgp network"},
		{"addbgp nosuch peer s3", "unknown network"},
		{"addbgp vx1 peer s3", "speaks no BGP"},
		{"addbgp bnet s3", "next:  flock addbgp bnet peer s3"},
		{"addbgp bnet router", "next:  flock addbgp bnet peer MEMBER"},
		{"addbgp bnet external s1 10.99.0.2 --as 65001", "10.99.0.2 is s2, a member of bnet: they talk already"},
		{"addbgp bnet peer", "too few words|nothing follows"},
		{"addbgp bnet peer s9", "unknown server s9"},
		{"addbgp bnet peer s3:a/b", "neither an interface"},
		{"addbgp bnet peer s3 --as 65001", "belongs to external"},
		{"addbgp bnet network s3:10.0.12.0/24", "not a member"},
		{"addbgp bnet network s1:10.0.11.0/24", "overlaps"},
		{"addbgp bnet network s1:10.0.4.0/25", "overlaps"},
		{"addbgp bnet network s1:10.0.10.1/24", "bits set"},
		{"addbgp bnet network s1", "names no subnet"},
		{"addbgp bnet reflector s3", "not a member"},
		{"addbgp bnet external s1 10.99.0.9", "of which AS"},
		{"addbgp bnet external s1 router --as 65001", "not an IP address"},
		{"addbgp bnet external s1 10.99.0.9 10.99.0.8 --as 65001", "takes a server and the router's address"},
		{"addbgp bnet external s3 10.99.0.9 --as 65001", "not a member"},
		{"addbgp bnet external s1 fe80::1 --as 65001", "not an address"},
		{"addbgp bnet external s1 127.0.0.1 --as 65001", "not an address"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --multihop 256", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --multihop -1", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 64512 --multihop 2", "the network's own"},
		{"addbgp bnet external s1 10.99.0.9 --as 64512 --ttl-security", "the network's own"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --max-prefixes -1", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --local-pref -1", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --local-pref 4294967296", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --med -1", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --med low", "not the number|invalid"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --prepend 33", "out of range"},
		{"addbgp bnet external s1 10.99.0.9 --as 64512 --prepend 1", "the network's own"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --community 65001", "not a community"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --community 65536:1", "not a community"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --community 65001:01", "not a community"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --community 1:2:3", "not a community"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --community 1:2 --community 1:2", "there twice"},
		{"addbgp bnet network s2:10.0.10.0/24", "10.0.10.0/24 overlaps 10.0.10.0/24"},
		{"addbgp bnet network s2:10.0.10.0/25 --anycast", "overlaps"},
		{"addbgp bnet network s3:10.0.50.1/32 --anycast", "not a member"},
		{"addbgp bnet peer s3 --anycast", "belongs to network"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --anycast", "belongs to"},
		{"addbgp bnet peer s3 --backup", "belongs to external"},
		{"addbgp bnet network s2:10.0.12.0/24 --shutdown", "belongs to external"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --accept 10.0.0.1/8", "bits set"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --announce all", "not a prefix"},
		{"addbgp bnet external s1 10.99.0.9 --as 65001 --password-file /no/such/file", "read the password"},
		{"delbgp bnet s1 -y", "say what is taken out"},
		{"delbgp vx1 server s1 -y", "speaks no BGP"},
		{"removebgp vx1 -y", "speaks no BGP"},
		{"delserver s1 -y", "it is a member of bnet"},
		{"showbgp s3", "speaks no BGP"},
		{"showbgp s9", "unknown server"},
		{"showbgp vx1", "speaks no BGP"},
		{"showbgp s1 s3", "s1 has no BGP session with \"s3\""},
		{"showbgp s1 10.99.0.99", "no BGP session"},
		{"showbgp bnet s2", "bnet is a network"},
		{"showbgp s3 s1", "speaks no BGP"},
		{"showbgp s1 s2 s3", "one word too many"},
		{"resetbgp bnet s1", "too few words"},
		{"resetbgp vx1 s1 s2", "no BGP network vx1"},
		{"resetbgp nosuch s1 s2", "no BGP network nosuch"},
		{"resetbgp bnet s3 s1", "not a member of bnet"},
		{"resetbgp bnet s1 s1", "no BGP session with \"s1\""},
		{"resetbgp bnet s1 all --soft", "no BGP session"},
	} {
		b := newBench(t, bgpThree)
		if code := b.run(strings.Fields(test.args)...); code != command.ExitUsage {
			t.Errorf("flock %s: want status 2, have %d\n%s", test.args, code, b.err.String())
		}
		said := b.err.String()
		if !slices.ContainsFunc(strings.Split(test.want, "|"), func(w string) bool { return strings.Contains(said, w) }) || !strings.Contains(said, "\nnext:  ") {
			t.Errorf("flock %s: want %q and what next, have %s", test.args, test.want, said)
		}
		if b.engine.contacts != 0 || b.out.Len() > 0 {
			t.Errorf("flock %s: contacts %d, stdout %q", test.args, b.engine.contacts, b.out.String())
		}
	}
}

func TestPasswordIsNeverInTheFile(t *testing.T) {
	b := newBench(t, bgpThree)
	secret := b.write("tor.key", "correct horse\n")
	args := []string{"addbgp", "bnet", "external", "s1", "10.99.0.254", "--password-file", secret}
	if code := b.run(args...); code != command.ExitDone {
		t.Fatalf("status %d: %s", code, b.err.String())
	}
	first := b.cluster().Networks["bnet"].Externals[0]
	if first.Password == "" || b.engine.request.Secrets[first.Password] != "correct horse" || first.AS != 65001 {
		t.Errorf("want the password by its id, have %v and %v", first, b.engine.request.Secrets)
	}
	text, err := b.cluster().Marshal()
	if err != nil || strings.Contains(string(text)+b.err.String()+b.out.String(), "horse") {
		t.Errorf("the password shows: %v", err)
	}
	if code := b.run(args...); code != command.ExitDone || b.cluster().Networks["bnet"].Externals[0].Password == first.Password {
		t.Errorf("a password that is given again has the same id; status %d", code)
	}
	// Without the flag it stays; an empty one takes it away.
	if code := b.run("addbgp", "bnet", "external", "s1", "10.99.0.254", "--multihop", "3"); code != command.ExitDone || b.cluster().Networks["bnet"].Externals[0].Password == "" || len(b.engine.request.Secrets) > 0 {
		t.Errorf("another option: status %d, %v", code, b.cluster().Networks["bnet"].Externals[0])
	}
	if code := b.run("addbgp", "bnet", "external", "s1", "10.99.0.254", "--password-file", ""); code != command.ExitDone || b.cluster().Networks["bnet"].Externals[0].Password != "" {
		t.Errorf("no password: status %d, %v", code, b.cluster().Networks["bnet"].Externals[0])
	}
	for text, want := range map[string]string{
		"": "no password", "\n": "no password", "a\nb\n": "more than one line", "a\x00b": "control", strings.Repeat("x", 81): "81 bytes",
	} {
		if code := b.run(append(args[:6:6], b.write("bad.key", text))...); code != command.ExitUsage || !strings.Contains(b.err.String(), want) {
			t.Errorf("password %q: want %q, have status %d, %s", text, want, code, b.err.String())
		}
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := b.run(args...); code != command.ExitDone || !strings.Contains(b.err.String(), "others can read") {
		t.Errorf("a file for all to read: status %d, %s", code, b.err.String())
	}
}

func speaking() []change.Speaker {
	a := netip.MustParseAddr
	p := netip.MustParsePrefix
	return []change.Speaker{
		{Server: "s1", Status: &spec.BGPStatus{
			Network: "bnet", AS: 64512, RouterID: a("10.99.0.1"), Uptime: 3*time.Hour + 4*time.Minute,
			Neighbors: []spec.BGPNeighborStatus{
				{Addr: a("10.99.0.2"), Name: "s2", AS: 64512, State: spec.BGPEstablished, Uptime: 62 * time.Second, Received: 1, Accepted: 1, Sent: 1},
				{
					Addr: a("10.99.0.253"), AS: 65002, External: true, State: spec.BGPEstablished, Uptime: 62 * time.Second,
					Unmatched: []spec.PrefixRule{{Prefix: p("10.9.0.0/16"), LE: 24}},
				},
				{Addr: a("10.99.0.254"), AS: 65001, External: true, State: spec.BGPActive, Uptime: time.Hour, Received: 2, Accepted: 1, Why: "Bad Peer AS: it says 65009"},
			},
			Routes: []spec.BGPRoute{
				{Prefix: p("10.0.10.0/24"), Local: true, Paths: []spec.BGPPath{{Age: time.Minute, Used: true}}},
				{Prefix: p("10.0.11.0/24"), Kernel: true, Paths: []spec.BGPPath{
					{NextHop: a("10.99.0.2"), From: a("10.99.0.2"), Name: "s2", Age: 61 * time.Second, Used: true},
					{NextHop: a("10.99.0.254"), From: a("10.99.0.254"), ASPath: "65001", Age: time.Second, Stale: true},
				}},
				{Prefix: p("10.12.0.0/16"), Kernel: true, Unused: "the route dev eth9 with metric 0 goes before it", Paths: []spec.BGPPath{
					{NextHop: a("10.99.0.2"), From: a("10.99.0.2"), Name: "s2", Age: time.Second, Used: true},
				}},
				{Prefix: p("10.128.0.0/16"), Why: "10.97.0.1 cannot be reached", Paths: []spec.BGPPath{
					{NextHop: a("10.97.0.1"), From: a("10.99.0.254"), ASPath: "65001 65002", Age: 25 * time.Hour},
				}},
			},
		}},
		{Server: "s2"},
	}
}

func TestShowBGP(t *testing.T) {
	b := newBench(t, bgpThree)
	b.engine.speakers = speaking()
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"showbgp s1", command.ExitDone, `s1: bnet, AS 64512, router id 10.99.0.1, up 3h04m

PEER         NAME  AS     STATE        UPTIME  IN      OUT  WHY
10.99.0.2    s2    64512  Established  1m02s   1       1    -
10.99.0.253  -     65002  Established  1m02s   0       0    it announces nothing of 10.9.0.0/16 le 24
10.99.0.254  -     65001  Active       -       1 of 2  0    Bad Peer AS: it says 65009

ROUTE          NEXT HOP   AS PATH      FROM         AGE    KERNEL    WHY
10.0.10.0/24   local      -            -            1m00s  -         -
10.0.11.0/24   10.99.0.2  -            s2           1m01s  yes       -
10.12.0.0/16   10.99.0.2  -            s2           1s     not used  the route dev eth9 with metric 0 goes before it
10.128.0.0/16  10.97.0.1  65001 65002  10.99.0.254  1d1h   no        10.97.0.1 cannot be reached
`},
		{"showbgp", command.ExitPartial, `SERVER  NETWORK  AS     SESSIONS  ROUTES  KERNEL  UP     WHY
s1      bnet     64512  2/3       3       1/3     3h04m  session with 10.99.0.254 is Active: Bad Peer AS: it says 65009
s2      bnet     -      -         -       -       -      no BGP daemon answers on s2

ROUTE          s1
10.0.10.0/24   local
10.0.11.0/24   10.99.0.2
10.12.0.0/16   (10.99.0.2)
10.128.0.0/16  (10.97.0.1)
`},
		{"showbgp s1 -o wide", command.ExitDone, "10.0.11.0/24   10.99.0.254  65001        10.99.0.254  1s     unused stale  -\n"},
		{"showbgp s2", command.ExitPartial, ""},
	} {
		if code := b.run(strings.Fields(test.args)...); code != test.code || !strings.Contains(b.out.String(), test.want) {
			t.Errorf("flock %s: status %d\n%s%s\nwant\n%s", test.args, code, b.out.String(), b.err.String(), test.want)
		}
	}
	var doc struct{ Servers []map[string]any }
	if code := b.run("showbgp", "--json"); code != command.ExitPartial {
		t.Errorf("JSON: status %d", code)
	}
	if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil || len(doc.Servers) != 2 || doc.Servers[1]["problem"] == nil {
		t.Errorf("JSON: %v: %s", err, b.out.String())
	}
	for _, want := range []string{`"next_hops": [
            "10.99.0.2"
          ]`, `"kernel": true`, `"state": "Established"`, `"uptime": 62`, `"as_path": "65001 65002"`} {
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("JSON: want %s in %s", want, b.out.String())
		}
	}
}

// A session that is down between servers that both answer is worth a look; one with
// a server that is away is not news.
func TestStatusKnowsSilentSessions(t *testing.T) {
	b := newBench(t, bgpThree)
	status := speaking()[0].Status
	status.Neighbors[0].State, status.Neighbors[0].Why = spec.BGPConnect, "no answer"
	status.Neighbors = status.Neighbors[:1]
	b.engine.servers = []change.Server{{Name: "s1", State: change.Unchanged, BGP: status}, {Name: "s2", State: change.Unchanged}}
	if code := b.run("status"); code != command.ExitDrift || !strings.Contains(b.out.String(), "session with s2 (10.99.0.2) is Connect: no answer") || !strings.Contains(b.err.String(), "next: flock showbgp s1") {
		t.Errorf("s2 is there: status %d\n%s%s", code, b.out.String(), b.err.String())
	}
	b.engine.servers[1] = change.Server{Name: "s2", State: change.Unreachable, Err: os.ErrDeadlineExceeded}
	if code := b.run("status", "-o", "wide"); code != command.ExitPartial || strings.Contains(b.out.String(), "session with") || !strings.Contains(b.out.String(), "0/1") {
		t.Errorf("s2 is away: status %d\n%s%s", code, b.out.String(), b.err.String())
	}
}

// One network's listing says of its routers all that they were given with.
func TestListingSaysWhatRoutersMay(t *testing.T) {
	b := newBench(t, bgpThree+"password-id = \"abc\"\nbfd = 300\nttl-security = true\nmax-prefixes = 1000\naccept = [\"10.128.0.0/9 le 24\", \"0.0.0.0/0\"]\nannounce = [\"10.0.10.0/24\"]\n")
	b.run("listnetworks", "bnet")
	want := "\nexternal s1 10.99.0.254 as 65001, with a password, bfd 300 ms, ttl-security, max-prefixes 1000, accept 10.128.0.0/9 le 24, accept 0.0.0.0/0, announce 10.0.10.0/24\n"
	have, _, _ := strings.Cut(b.out.String(), "note: ") // which names them if they are not there
	if !strings.Contains(have, want) || strings.Count(have, "10.0.11.0/24") != 1 {
		t.Errorf("want %q and every shared subnet once in\n%s", want, have)
	}
	b.run("listnetworks")
	if have := strings.ReplaceAll(b.out.String(), screen.NoBreak, " "); !strings.Contains(have, "external s1 10.99.0.254 as 65001 subnet s1:10.0.10.0/24") {
		t.Errorf("all networks:\n%s", have)
	}
}

// A dry run knows networks of every kind that the server leaves.
func TestDelServerDryRun(t *testing.T) {
	for _, file := range []string{bgpThree, keyed, tunneledToml} {
		b := newBench(t, file)
		if code := b.run("delserver", "s2", "--force", "--dry-run"); code != command.ExitDone {
			t.Errorf("exit status %d: %s", code, b.err.String())
		}
		if code := b.run("purge", "s1", "--dry-run"); code != command.ExitDone { // the lead of keyed
			t.Errorf("purge: exit status %d: %s", code, b.err.String())
		}
		if c := b.cluster(); c.Servers["s2"] == nil || len(ground.Networks(c, "s2")) == 0 {
			t.Errorf("a dry run changed the file: %+v", c.Servers["s2"])
		}
	}
}

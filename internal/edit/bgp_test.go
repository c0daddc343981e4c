package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

func TestParseAS(t *testing.T) {
	for text, want := range map[string]uint32{
		"1": 1, "64512": 64512, "4294967294": 4294967294, "1.10": 65546, "0.64512": 64512, "65000.65535": 65000<<16 | 65535,
		"": 0, "0": 0, "0.0": 0, "23456": 0, "65535": 0, "4294967295": 0, "4294967296": 0, "65536.1": 0, "1.65536": 0,
		"-1": 0, "AS65001": 0, "1.2.3": 0, "1.": 0, ".1": 0, "0.23456": 0, " 1": 0,
	} {
		have, err := option.ParseAS(text)
		if (err == nil) != (want != 0) || err == nil && have != want {
			t.Errorf("AS %q: want %d, have %d, %v", text, want, have, err)
		}
		if err != nil {
			if _, next := hint.Of(err); next == "" {
				t.Errorf("AS %q: no advice with %v", text, err)
			}
		}
	}
}

func TestAggregateCoversTheSame(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/24 10.0.1.0/24":                         "10.0.0.0/23",
		"10.0.1.0/24 10.0.2.0/24":                         "10.0.1.0/24 10.0.2.0/24",
		"10.0.3.0/24 10.0.0.0/24 10.0.1.0/24 10.0.2.0/24": "10.0.0.0/22",
		"10.0.0.0/16 10.0.3.0/24 10.0.3.0/24":             "10.0.0.0/16",
		"0.0.0.0/1 128.0.0.0/1":                           "0.0.0.0/0",
		"fd00::/65 fd00::8000:0:0:0/65 10.0.0.0/8":        "10.0.0.0/8 fd00::/64",
	} {
		var in, out []string
		var list []netip.Prefix
		for word := range strings.FieldsSeq(text) {
			list = append(list, netip.MustParsePrefix(word))
		}
		before := slices.Clone(list)
		for _, p := range prefix.Aggregate(list) {
			out = append(out, p.String())
		}
		for _, p := range list {
			in = append(in, p.String())
		}
		if have := strings.Join(out, " "); have != want || !slices.Equal(list, before) {
			t.Errorf("%v: want %q, have %q", in, want, have)
		}
	}
}

// bgpCluster has n servers on one segment, all of them members of bnet, each with a
// share.
func bgpCluster(t *testing.T, n int) *state.Cluster {
	t.Helper()
	c := &state.Cluster{Name: "default", ID: "x"}
	var names, shares []string
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("s%d", i)
		addr := netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)})
		if err := AddServer(c, name, state.Server{Address: addr.String()}); err != nil {
			t.Fatal(err)
		}
		c.Servers[name].Facts = &state.Facts{Default4: "eth0", Interfaces: []state.Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 16)}}}}
		names = append(names, name)
		shares = append(shares, fmt.Sprintf("%s:10.%d.%d.0/24", name, 100+i>>8, i&255))
	}
	if err := done(c, CreateBGP(c, "bnet", names[0], BGPOptions{})); err != nil {
		t.Fatal(err)
	}
	if n > 1 {
		if err := done(c, JoinBGP(c, "bnet", names[1:])); err != nil {
			t.Fatal(err)
		}
	}
	if err := done(c, ShareBGP(c, "bnet", shares, false, false)); err != nil {
		t.Fatal(err)
	}
	return c
}

func compileOK(t *testing.T, c *state.Cluster) *ground.Compiled {
	t.Helper()
	out, err := network.Compile(c)
	if err != nil || len(out.Problems) > 0 {
		t.Fatalf("compile: %v, problems %v", err, out)
	}
	return out
}

// checkSessionsPair holds that whoever is a neighbour has the other as its
// neighbour, and that every two members hear of each other's subnets: in a session,
// or from a reflector that has one with both.
func checkSessionsPair(t *testing.T, c *state.Cluster) {
	t.Helper()
	type pair [2]string
	talks, client := map[pair]bool{}, map[pair]bool{}
	out := compileOK(t, c)
	var members []string
	for name, h := range out.Hosts {
		if h.BGP == nil {
			continue
		}
		members = append(members, name)
		for _, n := range h.BGP.Neighbors {
			if n.External {
				continue
			}
			talks[pair{name, n.Name}] = true
			client[pair{name, n.Name}] = n.Client
			if n.Client != (n.Client && h.BGP.ClusterID.IsValid()) {
				t.Errorf("%s has the client %s and no cluster id", name, n.Name)
			}
		}
	}
	for p := range talks {
		if !talks[pair{p[1], p[0]}] {
			t.Errorf("%s talks to %s, not the other way", p[0], p[1])
		}
	}
	for _, a := range members {
		for _, b := range members {
			heard := talks[pair{a, b}] || slices.ContainsFunc(members, func(r string) bool {
				return talks[pair{r, a}] && talks[pair{r, b}] && (client[pair{r, a}] || client[pair{r, b}])
			})
			if a != b && !heard {
				t.Errorf("%s does not hear of what %s shares", a, b)
			}
		}
	}
}

func TestSessionsOfBeforeAreKeptUntilSettled(t *testing.T) {
	c := bgpCluster(t, 6)
	sessions := func() (n int) {
		for _, h := range compileOK(t, c).Hosts {
			n += len(h.BGP.Neighbors)
		}
		return n
	}
	checkSessionsPair(t, c)
	for _, step := range []struct {
		name          string
		do            func() error
		during, after int
	}{
		{"two reflectors", func() error { return done(c, AddReflectors(c, "bnet", []string{"s2", "s5"})) }, 30, 18},
		{"a third", func() error { return done(c, AddReflectors(c, "bnet", []string{"s1"})) }, 24, 24},
		{"one less", func() error { return done(c, DelReflectors(c, "bnet", []string{"s2"})) }, 24, 18},
		{"none", func() error { return done(c, DelReflectors(c, "bnet", []string{"s1", "s5"})) }, 30, 30},
	} {
		if err := step.do(); err != nil {
			t.Fatal(step.name, err)
		}
		if c.Networks["bnet"].Before == nil {
			t.Errorf("%s: settled at once", step.name)
		}
		checkSessionsPair(t, c)
		if have := sessions(); have != step.during {
			t.Errorf("%s: want %d ends of sessions on the way, have %d", step.name, step.during, have)
		}
		if err := done(c, FinishSessions(c, "bnet")); err != nil {
			t.Fatal(step.name, err)
		}
		checkSessionsPair(t, c)
		if have := sessions(); have != step.after || c.Networks["bnet"].Before != nil {
			t.Errorf("%s: want %d ends of sessions, have %d", step.name, step.after, have)
		}
	}
}

func TestReflectorsThatLeave(t *testing.T) {
	c := bgpCluster(t, 4)
	if err := done(c, AddReflectors(c, "bnet", []string{"s1", "s2"})); err != nil {
		t.Fatal(err)
	}
	n := c.Networks["bnet"]
	for _, server := range []string{"s1", "s2"} {
		if err := LeaveBGP(c, "bnet", []string{server}); err != nil {
			t.Fatal(err)
		}
		if err := network.Complete(c); err != nil {
			t.Fatal(err)
		}
		checkSessionsPair(t, c)
	}
	if n.Mode != state.Mesh || len(n.Reflectors) != 0 || len(n.Shares) != 2 {
		t.Errorf("want a mesh of two, have mode %s, reflectors %v, shares %v", n.Mode, n.Reflectors, n.Shares)
	}
	if err := DelServer(c, "s3", true); err != nil || ground.HasMember(n, "s3") {
		t.Errorf("a server that is deleted by force leaves: %v, %v", err, n.Members)
	}
}

// The last reflectors leave when the others have sessions of their own.
func TestLastReflectorsStay(t *testing.T) {
	c := bgpCluster(t, 4)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string, servers ...string) {
		t.Helper()
		err := LeaveBGP(c, "bnet", servers)
		_, next := hint.Of(err)
		if err == nil || !strings.Contains(next, want) || !ground.HasMember(c.Networks["bnet"], servers[0]) {
			t.Errorf("%v leave: %v, next %q", servers, err, next)
		}
	}
	must(done(c, AddReflectors(c, "bnet", []string{"s1", "s2"})))
	must(done(c, FinishSessions(c, "bnet")))
	refused("flock delbgp bnet reflector s1 s2, ", "s2", "s1")
	must(LeaveBGP(c, "bnet", []string{"s2"}))
	refused("flock delbgp bnet reflector s1, ", "s1")
	must(done(c, DelReflectors(c, "bnet", []string{"s1"})))
	refused("flock apply bnet", "s1")
	must(done(c, FinishSessions(c, "bnet")))
	must(LeaveBGP(c, "bnet", []string{"s1"}))
	must(network.Complete(c))
	checkSessionsPair(t, c)
}

func TestReflectorModeElectsTwo(t *testing.T) {
	c := bgpCluster(t, 4)
	delete(c.Networks, "bnet")
	if err := done(c, CreateBGP(c, "r", "s2", BGPOptions{Mode: state.Reflector})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, JoinBGP(c, "r", []string{"s1", "s3", "s4"})); err != nil {
		t.Fatal(err)
	}
	if have := c.Networks["r"].Reflectors; !slices.Equal(have, []string{"s2", "s1"}) {
		t.Errorf("want the reflectors s2 and s1, have %v", have)
	}
	checkSessionsPair(t, c)
}

func TestExternalKeepsWhatIsNotGiven(t *testing.T) {
	c := bgpCluster(t, 2)
	router := netip.MustParseAddr("10.99.200.1")
	as, id, most, rules := uint32(65001), "abc", int64(10), []string{"10.0.0.0/8 le 24"}
	if err := done(c, AddExternal(c, "bnet", "s1", router, ExternalOptions{AS: &as, Password: &id, Accept: &rules})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, AddExternal(c, "bnet", "s1", router, ExternalOptions{MaxPrefixes: &most})); err != nil {
		t.Fatal(err)
	}
	neighbors := compileOK(t, c).Hosts["s1"].BGP.Neighbors
	have := neighbors[len(neighbors)-1]
	if have.AS != as || have.Secret != id || have.MaxPrefixes != 10 || len(have.Import) != 1 || !have.External {
		t.Errorf("want everything that was said, have %v", have)
	}
	if err := done(c, AddExternal(c, "bnet", "s2", router, ExternalOptions{MaxPrefixes: &most})); err == nil || !strings.Contains(err.Error(), "which AS") {
		t.Errorf("an external without AS: %v", err)
	}
	if err := done(c, DelExternal(c, "bnet", "s1", router)); err != nil || len(c.Networks["bnet"].Externals) > 0 {
		t.Errorf("delete it: %v", err)
	}
}

func TestBGPAdvice(t *testing.T) {
	notes := func(c *state.Cluster) string { return fmt.Sprint(compileOK(t, c).Notes) }
	if have := notes(bgpCluster(t, 100)); strings.Contains(have, "sessions") {
		t.Errorf("%d members: %s", 100, have)
	}
	if have := notes(bgpCluster(t, 101)); !strings.Contains(have, "5050 sessions") {
		t.Errorf("%d members: %s", 101, have)
	}
}

// TestAddressesOfRouters holds that a member is no external, however it is named.
func TestAddressesOfRouters(t *testing.T) {
	c := bgpCluster(t, 2)
	as := uint32(65001)
	member := netip.MustParseAddr("10.99.0.2")
	if err := AddExternal(c, "bnet", "s1", member, ExternalOptions{AS: &as}); err == nil || !strings.Contains(err.Error(), "is s2, a member") {
		t.Errorf("want the member named, have %v", err)
	}
	// It may become one later, or a file may say so.
	c.Networks["bnet"].Externals = []state.External{{Server: "s1", Address: member, AS: as}}
	if err := done(c, nil); err != nil {
		t.Fatal(err)
	}
	out, err := network.Compile(c)
	if err != nil || len(out.Problems) != 1 || !strings.Contains(out.Problems[0].Err.Error(), "is s2, a member") {
		t.Errorf("want the member named, have %v, %v", err, out.Problems)
	}
	if slices.ContainsFunc(out.Hosts["s1"].BGP.Neighbors, func(n spec.BGPNeighbor) bool { return n.External }) {
		t.Error("the session is there all the same")
	}
}

// A file that changes who has sessions with whom changes it in two steps too, and
// keeps the ids of passwords, which are nobody's to write.
func TestReplaceKeepsSpeaking(t *testing.T) {
	c := bgpCluster(t, 3)
	as, id := uint32(65001), "abc"
	router := netip.MustParseAddr("10.99.200.1")
	if err := done(c, AddExternal(c, "bnet", "s1", router, ExternalOptions{AS: &as, Password: &id})); err != nil {
		t.Fatal(err)
	}
	wish := c.Clone()
	n := wish.Networks["bnet"]
	n.Mode, n.Reflectors, n.Externals[0].Password = "", []string{"s2"}, ""
	if _, err := Replace(c, wish); err != nil {
		t.Fatal(err)
	}
	if have := c.Networks["bnet"]; have.Mode != state.Reflector || have.Before == nil || have.Before.Mode != state.Mesh || have.Externals[0].Password != id {
		t.Errorf("want a reflector beside the mesh, and the password, have %+v", have)
	}
	checkSessionsPair(t, c)
	if err := done(c, FinishSessions(c, "bnet")); err != nil {
		t.Fatal(err)
	}
	if _, err := Replace(c, c.Clone()); err != nil || c.Networks["bnet"].Before != nil {
		t.Errorf("the same again is unsettled: %v", err)
	}
}

// TestAnycastGoesWithItsLastShare: several members may have one subnet where that was said,
// and nobody may once none has it.
func TestAnycastGoesWithItsLastShare(t *testing.T) {
	c := bgpCluster(t, 3)
	n := c.Networks["bnet"]
	must := func(err error) {
		t.Helper()
		if err := done(c, err); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{"s1:10.0.50.1/32", "s2:10.0.50.1/32"}
	for range 2 {
		must(ShareBGP(c, "bnet", both, false, true))
	}
	if len(n.Shares) != 5 || len(n.Anycast) != 1 {
		t.Fatalf("shares %v, anycast %v", n.Shares, n.Anycast)
	}
	for server, h := range compileOK(t, c).Hosts {
		if has := len(h.BGP.Anycast) == 1; has != (server != "s3") || len(h.BGP.Prefixes) != 1 {
			t.Errorf("%s announces %v and %v", server, h.BGP.Prefixes, h.BGP.Anycast)
		}
	}
	must(UnshareBGP(c, "bnet", both[:1]))
	if len(n.Anycast) != 1 {
		t.Errorf("with one share left: %v", n.Anycast)
	}
	must(LeaveBGP(c, "bnet", []string{"s2"}))
	if n.Anycast != nil {
		t.Errorf("with none left: %v", n.Anycast)
	}
	must(ShareBGP(c, "bnet", both[:1], false, false))
	must(JoinBGP(c, "bnet", []string{"s2"}))
	if err := done(c, ShareBGP(c, "bnet", both[1:], false, false)); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("two without a word: %v", err)
	}
}

package state

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/fill"
	"github.com/flocknet/flock/internal/hint"
	"github.com/pelletier/go-toml/v2"
)

const handWritten = `# by hand: the desired state alone
cluster = "home"

[server.s1]
address = "10.99.0.1"
user = 'root'
port = 2_222
subnet = "10.5.0.1/24"

[server.local]

[network.vx1]
type = "vxlan"
subnet = ["10.0.4.0/24", "fd00:4::/64"]
vni = 0x2A
group = "239.0.0.42"
members = [
	"s1:eth1", # its second interface
	"local",
]
allocated.s1 = { id = 7, addresses = ["10.0.4.254"] }
`

func TestParseHandWritten(t *testing.T) {
	have, err := Parse([]byte(handWritten), "home.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Cluster{
		Schema: Schema, Name: "home",
		Servers: map[string]*Server{
			"s1":    {Address: "10.99.0.1", User: "root", Port: 2222, Subnet: netip.MustParsePrefix("10.5.0.1/24")},
			"local": {},
		},
		Networks: map[string]*Network{"vx1": {
			Type:    "vxlan",
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24"), netip.MustParsePrefix("fd00:4::/64")},
			VNI:     42, Group: netip.MustParseAddr("239.0.0.42"), Members: []string{"s1:eth1", "local"},
			Allocated: map[string]*Allocation{"s1": {ID: 7, Addrs: []netip.Addr{netip.MustParseAddr("10.0.4.254")}}},
		}},
	}
	if !reflect.DeepEqual(want, have) {
		t.Fatalf("want %+v, have %+v", want, have)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, where, says string }{
		{"a = 1\n", "1:1", "a: unknown key"},
		{"[server.s1]\nadress = 'x'\n", "2:1", "server.s1.adress: unknown key"},
		{"[server.s1]\nAddress = 'x'\n", "2:1", "server.s1.Address: unknown key"},
		{"[servers.s1]\n", "1:2", "servers: unknown key"},
		{"schema = 'x'\n", "1:10", "schema: a string where an integer belongs"},
		{"[server.s1]\n\nport = 70000\n", "3:8", "server.s1.port: 70000 is out of range: 0 to 65535"},
		{"[server.s1]\nport = -1\n", "2:8", "out of range: 0 to 65535"},
		{"generation = -1", "1:14", "out of range: 0 to 9223372036854775807"},
		{"[network.a]\nmtu = 99999999999999999999\n", "2:7", "out of range"},
		{"[network.a]\ngbp = 1\n", "2:7", "network.a.gbp: an integer where true or false belongs"},
		{"[network.a]\nvni = 1.5\n", "2:7", "a number with a fraction where an integer belongs"},
		{"[network.a]\nsubnet = '10.0.0.0/8'\n", "2:10", "a string where an array belongs"},
		{"[network.a]\nsubnet = ['10.0.0.0/8',\n'x']\n", "3:1", `network.a.subnet: "x" is not a prefix`},
		{"[network.a]\ngroup = ''\n", "2:9", `"" is not an address`},
		{"[network.a]\nmembers = ['s1', 1]\n", "2:18", "an integer where a string belongs"},
		{"[network.a]\nmembers = ['s1:[fe80::1]']\n", "2:1", "network.a.members: \"s1:[fe80::1]\": IPv6 scope"},
		{"[network.a.allocated]\ns1 = 3\n", "2:1", "network.a.allocated.s1: an integer where a table belongs"},
		{"[network.a.allocated.s1]\nid = 65536\n", "2:6", "network.a.allocated.s1.id: 65536 is out of range: 0 to 65535"},
		{"[server]\n's 1' = {}\n", "2:1", `server."s 1": server name "s 1" is not a name`},
		{"[network.'../x']\n", "1:10", `network."../x": network name`},
		{"cluster = 'a/b'\n", "1:1", "cluster: cluster name"},
		{"[server.s1]\nuser = 'a'\nuser = 'b'\n", "3:1", "server.s1.user: set twice"},
		{"[server.s1]\n[server.s1]\n", "2:9", "server.s1: set twice"},
		{"server.s1.user = 'a'\n[server.s1]\n", "2:9", "server.s1: set twice"},
		{"server = { s1 = {} }\n[server.s1.facts]\n", "2:2", "server: set twice"},
		{"[server.s1.facts]\n[server]\ns1.user = 'a'\n", "3:1", "server.s1: set twice"},
		{"[[server.s1]]\n", "1:10", "an array of tables where a table belongs"},
		{"[server.s1.facts.interface]\n", "1:18", "a table where an array belongs"},
		{"[server.s1.confirmed]\ntime = 2020-01-01T00:00:00\n", "2:8", "a date or time without offset"},
		{"x =\n", "1:4", "unexpected character"},
		{"[server.s1\n", "1:11", "expected"},
		{"[network.a]\nmtu = 012\n", "2:7", "leading zero"},
		{"schema = -1\n", "1:1", "schema: -1 is not a schema"},
	} {
		_, err := Parse([]byte(test.text), "f.toml")
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("Parse(%q) = %v, want %q", test.text, err, test.says)
			continue
		}
		where, next := hint.Of(err)
		if where != "f.toml:"+test.where || next == "" {
			t.Errorf("Parse(%q) = %v, where %q, want %q; next %q", test.text, err, where, test.where, next)
		}
	}
}

// TestWholeRoundTrip fills every field there is: one without a TOML key, or that
// Clone shares, shows here.
func TestWholeRoundTrip(t *testing.T) {
	want := &Cluster{}
	fill.All(t, want)
	want.Schema = Schema
	for _, n := range want.Networks {
		n.Members = []string{"s1:eth0"}
		n.Shares = []string{"s1:10.0.10.0/24"}
	}
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	have, err := Parse(data, "f.toml")
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if !reflect.DeepEqual(want, have) {
		t.Fatalf("want %+v, have %+v\n%s", want, have, data)
	}
	again, err := have.Marshal()
	if err != nil || !bytes.Equal(data, again) {
		t.Fatalf("marshalled twice: %v\n%s\n%s", err, data, again)
	}
	if !bytes.HasPrefix(data, []byte(head)) {
		t.Errorf("the file does not say what it is:\n%s", data)
	}
}

// A file begins with any comment, such as the one that flock wrote at first. It is not
// rewritten until something changes.
func TestFileWithAnotherHead(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	_, body, _ := strings.Cut(readFile(t, s.Path()), "\n")
	old := "# The wish for one cluster of flock, and what flock dealt out and last saw.\n" + body
	if err := os.WriteFile(s.Path(), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := update(t, s, func(*Cluster) error { return nil }); c.Servers["s1"] == nil || readFile(t, s.Path()) != old {
		t.Errorf("read as %+v, now\n%s", c, readFile(t, s.Path()))
	}
	if c := update(t, s, addServer("s2")); c.Generation != 2 || !strings.HasPrefix(readFile(t, s.Path()), head) {
		t.Errorf("generation %d, now\n%s", c.Generation, readFile(t, s.Path()))
	}
}

func TestCloneSharesNothing(t *testing.T) {
	c := &Cluster{}
	fill.All(t, c)
	d := c.Clone()
	if !reflect.DeepEqual(c, d) {
		t.Fatalf("want %+v, have %+v", c, d)
	}
	seen := map[uintptr]string{}
	memory(reflect.ValueOf(c), "Cluster", func(p uintptr, path string) { seen[p] = path })
	memory(reflect.ValueOf(d), "Cluster", func(p uintptr, path string) {
		if seen[p] != "" {
			t.Errorf("%s of the copy is %s of the original", path, seen[p])
		}
	})
}

// memory calls found with everything that v points to.
func memory(v reflect.Value, path string, found func(p uintptr, path string)) {
	switch v.Interface().(type) {
	case time.Time, netip.Addr, netip.Prefix:
		return // values: what they point to never changes
	}
	switch v.Kind() {
	case reflect.Pointer:
		found(v.Pointer(), path)
		memory(v.Elem(), path, found)
	case reflect.Struct:
		for i := range v.NumField() {
			memory(v.Field(i), path+"."+v.Type().Field(i).Name, found)
		}
	case reflect.Map:
		found(v.Pointer(), path)
		for _, k := range v.MapKeys() {
			memory(v.MapIndex(k), path+"."+k.String(), found)
		}
	case reflect.Slice:
		found(v.Pointer(), path)
		for i := range v.Len() {
			memory(v.Index(i), path, found)
		}
	}
}

// FuzzParse holds our binding against go-toml's: what we take, it takes too, and
// sees the same in it. What parses is written, and read back, unchanged.
func FuzzParse(f *testing.F) {
	f.Add([]byte(handWritten))
	whole := &Cluster{}
	fill.All(f, whole)
	data, err := whole.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, seed := range []string{
		"schema = 1\n[server.s1.confirmed]\ntime = 2020-01-01 00:00:00.5+01:00\n",
		"server.s1.facts.interface = [{name = \"e\\u0001\", mtu = 0o17}]\n[server.s2]\n",
		"[[server.s1.facts.interface]]\nname='a'\n[[server.s1.facts.interface]]\nmtu=1\n[server.s1]\n",
		"network.a = {members = [], allocated.b.id = 1}\n", "schema=2\nflock='9'\n", "[network.a]\nsubnet = [\n# x\n]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c := (&Cluster{}); decode(data, c) == nil {
			sameAsLibrary(t, data, c)
		}
		c, err := Parse(data, "f.toml")
		if err != nil {
			return
		}
		first, err := c.Marshal()
		if err != nil {
			t.Fatalf("write what was read: %v", err)
		}
		again, err := Parse(first, "f.toml")
		if err != nil {
			t.Fatalf("read what was written: %v\n%s", err, first)
		}
		second, err := again.Marshal()
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\nfirst:\n%s\nsecond:\n%s", err, first, second)
		}
		clone, err := c.Clone().Marshal()
		if err != nil || !bytes.Equal(first, clone) {
			t.Fatalf("%v\nwritten:\n%s\nclone:\n%s", err, first, clone)
		}
	})
}

// FuzzTables tries how tables may be opened, closed and added to: whatever order
// the lines stand in, we take what go-toml takes, and see the same in it.
func FuzzTables(f *testing.F) {
	lines := []string{
		"[server]", "[server.a]", "[server.b]", "[server.a.facts]", "[[server.a.facts.interface]]", "[server.a.confirmed]",
		"[network]", "[network.n]", "[network.n.allocated]", "[network.n.allocated.a]", "[[network]]",
		"user = 'x'", "a.user = 'y'", "a = {}", "a = {user = 'y', facts.init = 'z'}", "server.a.user = 'x'", "server = {}",
		"server.a = {facts = {init = 'q'}}", "facts.init = 'x'", "facts = {}", "facts.interface = [{name = 'x'}]",
		"facts.interface = []", "interface = [{name = 'e'}, {mtu = 1, mtu = 2}]", "interface = [{name = 'e'}, {mtu = 1}]",
		"n.type = 'vxlan'", "network.n.members = ['a']", "allocated.a.id = 1", "allocated = {a = {id = 2}}", "id = 3", "name = 'z'",
		"mtu = 5", "generation = 1", "port = 1", "subnet = '10.0.0.1/8'", "subnet = ['10.0.0.0/8', 'fd00::/8']", "init = 'i'",
		"a.facts.init = 'z'", "unknown = 1", "[unknown]", "a.facts.unknown = 1", "prefixes = []",
	}
	f.Add([]byte{1, 12, 3, 36, 4, 30, 4, 31})
	f.Add([]byte{7, 25, 9, 29, 8, 16, 17})
	f.Add([]byte{3, 0, 13, 1, 12})
	f.Fuzz(func(t *testing.T, order []byte) {
		var b strings.Builder
		for _, i := range order {
			b.WriteString(lines[int(i)%len(lines)] + "\n")
		}
		ours, theirs := &Cluster{}, &Cluster{}
		err := decode([]byte(b.String()), ours)
		want := toml.NewDecoder(strings.NewReader(b.String())).DisallowUnknownFields().Decode(theirs)
		if (err == nil) != (want == nil) {
			t.Fatalf("we say %v, go-toml says %v, of\n%s", err, want, b.String())
		}
		if err == nil {
			sameAsLibrary(t, []byte(b.String()), ours)
		}
	})
}

func sameAsLibrary(t *testing.T, data []byte, ours *Cluster) {
	theirs := &Cluster{}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(theirs); err != nil {
		t.Fatalf("go-toml refuses: %v", errors.Unwrap(err))
	}
	for _, c := range []*Cluster{ours, theirs} {
		c.Saved = c.Saved.UTC()
		for _, s := range c.Servers {
			if s.Confirmed != nil {
				s.Confirmed.Time = s.Confirmed.Time.UTC()
			}
		}
	}
	want, err := theirs.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	have, err := ours.Marshal()
	if err != nil || !bytes.Equal(want, have) {
		t.Fatalf("%v\nwant:\n%s\nhave:\n%s", err, want, have)
	}
}

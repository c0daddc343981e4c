package explain

import (
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// part is one network on one server of a golden of network's.
type part struct {
	golden, network, server string
	full, asked             *spec.Host
	others                  []*spec.Host // what the server's other networks ask for
}

// parts are the networks of all goldens of internal/network on all their servers.
func parts(t *testing.T) []part {
	t.Helper()
	files, err := filepath.Glob("../network/testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var out []part
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := state.Parse(ar.Files[0].Data, "cluster.toml")
		if err != nil || network.Complete(c) != nil {
			continue // a golden of what is refused
		}
		full, err := network.Compile(c)
		if err != nil {
			continue
		}
		golden := strings.TrimSuffix(strings.TrimPrefix(file, "../network/testdata/"), ".txtar")
		for _, name := range c.NetworkNames() {
			var others []map[string]*spec.Host
			for _, other := range c.NetworkNames() {
				if _, theirs, err := network.CompileWith(c, other); err == nil && other != name {
					others = append(others, theirs)
				}
			}
			again, asked, err := network.CompileWith(c, name)
			if err != nil {
				t.Fatalf("%s: compile with %s: %v", golden, name, err)
			}
			for _, server := range slices.Sorted(maps.Keys(full.Hosts)) {
				p := part{golden, name, server, again.Hosts[server], asked[server], nil}
				for _, theirs := range others {
					p.others = append(p.others, theirs[server])
				}
				out = append(out, p)
			}
		}
	}
	if len(out) < 100 {
		t.Fatalf("%d networks on servers are too few to have read the goldens", len(out))
	}
	return out
}

// TestAllIsSomebodys: what a server has is some network's, or of its own bridge.
func TestAllIsSomebodys(t *testing.T) {
	some, fulls := map[string]map[string]bool{}, map[string]*spec.Host{} // by golden and server
	for _, p := range parts(t) {
		key := p.golden + " " + p.server
		if some[key] == nil {
			some[key] = map[string]bool{}
		}
		fulls[key] = p.full
		for line := range strings.Lines(belonging(p.full, p.asked, p.network).Text()) {
			some[key][line] = true
		}
	}
	for key, h := range fulls {
		own := slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Network == "subnet" })
		for line := range strings.Lines(h.Text()) {
			bridges := strings.HasSuffix(line, " network subnet\n") || strings.Contains(line, "app0") || strings.HasPrefix(line, "sysctl net/ipv4/ip_forward")
			if !some[key][line] && !strings.HasPrefix(line, "claim ") && (!own || !bridges) {
				t.Errorf("%s: no network has %s", key, line)
			}
		}
	}
}

// texts are those that build and undo s, which a shell can read, and a check that a text has a part.
func (p *part) texts(t *testing.T, s *Script) (build, undo string, want func(text, part string)) {
	t.Helper()
	build, undo = s.Text("default", false), s.Text("default", true)
	for _, text := range []string{build, undo} {
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s on %s is no script: %v\n%s\n%s", p.golden, p.network, p.server, err, out, text)
		}
	}
	return build, undo, func(text, part string) {
		t.Helper()
		if !strings.Contains(text, part) {
			t.Errorf("%s: %s on %s lacks %q:\n%s", p.golden, p.network, p.server, part, text)
		}
	}
}

// TestScriptsParse: every script is one to a shell, names every device and leaves out no
// address, route, entry or peer.
func TestScriptsParse(t *testing.T) {
	for _, p := range parts(t) {
		s, err := Of(p.full, p.asked, p.others, p.network)
		if err != nil {
			t.Fatalf("%s: %v", p.golden, err)
		}
		own := belonging(p.full, p.asked, p.network)
		if s.Empty() != own.Empty() {
			t.Errorf("%s: %s on %s is empty: %v", p.golden, p.network, p.server, s.Empty())
		}
		build, undo, want := p.texts(t, s)
		for _, l := range own.Links {
			if l.Kind == spec.Port { // somebody else's, which gets no mark and is given back
				want(build, "ip link set "+l.Name+" master "+l.Master+"\n")
				want(undo, "\nip link set "+l.Name+" nomaster\n")
				continue
			}
			want(build, l.Name+" alias "+spec.Alias(p.full.Cluster, l.Network)+"\n")
			want(build, "ip link set dev "+l.Name+" up\n")
			want(undo, "\nip link del dev "+l.Name+"\n")
		}
		for _, a := range own.Addrs {
			want(build, "ip addr add "+a.Prefix.String()+" ")
		}
		for _, r := range own.Routes {
			want(build, r.Dst.String()+" ")
		}
		for _, f := range own.AllFDB() {
			want(build, f.MAC+" dev "+f.Link+" dst "+f.Dst.String()+" ")
		}
		for _, n := range own.Neighs {
			want(build, "ip neigh add "+n.IP.String()+" lladdr "+n.MAC+" ")
		}
		for _, p := range own.Peers {
			want(build, p.Key)
		}
		for _, k := range own.Sysctls {
			want(build, k.Key)
		}
		for _, d := range own.DHCPs {
			if d.Zone != nil {
				want(build, "ask its like there; that is left out")
			}
		}
	}
}

// TestUndoKeepsWhatOthersNeed: a setting of the whole server goes back where nobody else asks for
// it, and stays where another network, or the server's own subnet, does.
func TestUndoKeepsWhatOthersNeed(t *testing.T) {
	shared, alone := 0, 0
	for _, p := range parts(t) {
		s, err := Of(p.full, p.asked, p.others, p.network)
		if err != nil {
			t.Fatal(err)
		}
		undo := s.Text("default", true)
		subnet := slices.ContainsFunc(p.full.Links, func(l spec.Link) bool { return l.Network == "subnet" })
		for _, k := range belonging(p.full, p.asked, p.network).Sysctls {
			if k.Link != "" {
				continue
			}
			stays := subnet && k.Key == "net/ipv4/ip_forward" || slices.ContainsFunc(p.others, func(h *spec.Host) bool {
				return slices.ContainsFunc(h.Sysctls, func(o spec.Sysctl) bool { return o.Link == "" && o.Key == k.Key })
			})
			goes := strings.Contains(undo, "sysctl -q -e -p") && !strings.Contains(undo, strings.ReplaceAll(k.Key, "/", ".")+" =")
			if goes == stays {
				t.Errorf("%s: %s on %s: %s stays %v:\n%s", p.golden, p.network, p.server, k.Key, stays, undo)
			}
			if stays {
				shared++
			} else {
				alone++
			}
		}
	}
	if shared == 0 || alone == 0 {
		t.Errorf("%d settings are shared, %d are not: the goldens no longer try both", shared, alone)
	}
}

// TestNothingBesides: commands are of programs that the script says it wants, and no
// script of one server is run as that of another by mistake.
func TestNothingBesides(t *testing.T) {
	if have := word("a b'c"); have != `'a b'\''c'` {
		t.Errorf("a word of a shell: %s", have)
	}
	if have := word("fd00::1/64"); have != "fd00::1/64" {
		t.Errorf("a plain word: %s", have)
	}
}

// TestFRRTakesIt: what is said of BGP is a configuration to FRR's bgpd.
func TestFRRTakesIt(t *testing.T) {
	const bgpd = "/usr/lib/frr/bgpd"
	lab.Need(t, bgpd)
	tried := map[string]bool{}
	for _, p := range parts(t) {
		own := belonging(p.full, p.asked, p.network)
		if own.BGP == nil || tried[p.golden] {
			continue
		}
		tried[p.golden] = true
		s, err := Of(p.full, p.asked, p.others, p.network)
		if err != nil {
			t.Fatal(err)
		}
		var conf strings.Builder
		for _, step := range s.Build {
			if strings.HasPrefix(step.About, "BGP is spoken") {
				for _, c := range step.Commands {
					conf.WriteString(strings.TrimPrefix(c, "#   ") + "\n")
				}
			}
		}
		for _, n := range own.BGP.Neighbors {
			if !strings.Contains(conf.String(), " neighbor "+n.Addr.WithZone("").String()+" remote-as ") {
				t.Errorf("%s: %s lacks the neighbour %s", p.golden, p.server, n.Addr)
			}
		}
		file := filepath.Join(t.TempDir(), "frr.conf")
		if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bgpd, "-C", "-f", file).CombinedOutput(); err != nil || strings.Contains(string(out), "Unknown command") {
			t.Errorf("%s: bgpd refuses what stands for %s: %v\n%s\n%s", p.golden, p.server, err, out, conf.String())
		}
	}
	if len(tried) < 5 {
		t.Errorf("%d BGP networks are too few", len(tried))
	}
}

// TestAdoptedBridgesAreSaid: who makes a bridge behind which a shared subnet is; of another network
// nothing is said.
func TestAdoptedBridgesAreSaid(t *testing.T) {
	subnet := netip.MustParsePrefix("10.1.1.0/24")
	h := &spec.Host{
		Cluster: "default", Server: "s1", Links: []spec.Link{{Name: "wg-w", Network: "w", Kind: spec.WireGuard, Key: "k"}},
		Keeps: []spec.PreserveSource{{Network: "w", Subnet: subnet}},
	}
	for bridge, how := range map[string]string{spec.LXCBridge: "/etc/default/lxc-net", spec.DockerBridge: `"bip": "10.1.1.1/24"`, spec.LibvirtBridge: "virsh net-edit default"} {
		h.Adopted = []spec.Addr{{Link: bridge, Prefix: netip.MustParsePrefix("10.1.1.1/24")}}
		for network, want := range map[string]bool{"w": true, "other": false} {
			s, err := Of(h, nil, nil, network)
			if err != nil {
				t.Fatal(err)
			}
			if text := s.Text("default", false); strings.Contains(text, "10.1.1.0/24 is behind "+bridge) != want || strings.Contains(text, how) != want {
				t.Errorf("%s, network %s: want it named: %v, have\n%s", bridge, network, want, text)
			}
		}
	}
}

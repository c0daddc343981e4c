package network

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldens are the files of testdata, one folder per kind.
func goldens(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	if flat, err := filepath.Glob("testdata/*.txtar"); err != nil || len(flat) > 0 {
		t.Fatalf("%v would not be tested: move each into the folder of its kind (%v)", flat, err)
	}
	return files
}

// TestGolden compiles every golden: cluster.toml in, one file per server
// out, or the error with its advice, or the problems of single servers.
func TestGolden(t *testing.T) {
	for _, file := range goldens(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(ar.Files) == 0 || ar.Files[0].Name != "cluster.toml" {
				t.Fatal("the first file is not cluster.toml")
			}
			got := &txtar.Archive{Comment: ar.Comment, Files: append(ar.Files[:1:1], compileText(t, ar.Files[0].Data)...)}
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(ar)), string(txtar.Format(got))); d != "" {
				t.Errorf("want (-), got (+); rewrite with -update:\n%s", d)
			}
		})
	}
}

func compileText(t *testing.T, data []byte) []txtar.File {
	t.Helper()
	c, err := state.Parse(data, "cluster.toml")
	if err == nil {
		err = Complete(c)
	}
	if err != nil {
		return []txtar.File{{Name: "error", Data: []byte(hint.Text("flock", err))}}
	}
	out, err := Compile(c)
	if err != nil {
		return []txtar.File{{Name: "error", Data: []byte(hint.Text("flock", err))}}
	}
	checkProperties(t, c, out)
	var files []txtar.File
	for _, name := range slices.Sorted(maps.Keys(out.Hosts)) {
		files = append(files, txtar.File{Name: name, Data: []byte(out.Hosts[name].Text())})
	}
	var problems strings.Builder
	for _, p := range out.Problems {
		fmt.Fprint(&problems, hint.Text(p.Server+"/"+p.Network, p.Err))
	}
	var notes strings.Builder
	for _, n := range out.Notes {
		fmt.Fprintln(&notes, n.Network+": "+n.Text)
	}
	if len(out.Clouds) > 0 {
		text, err := json.MarshalIndent(out.Clouds, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, txtar.File{Name: "clouds", Data: append(text, '\n')})
	}
	if notes.Len() > 0 {
		files = append(files, txtar.File{Name: "notes", Data: []byte(notes.String())})
	}
	if problems.Len() > 0 {
		files = append(files, txtar.File{Name: "problems", Data: []byte(problems.String())})
	}
	return files
}

// checkProperties holds for every cluster that compiles.
func checkProperties(t *testing.T, c *state.Cluster, out *ground.Compiled) {
	t.Helper()
	again, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	completed := c.Clone()
	if err := Complete(completed); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, completed, cmp.Comparer(equalPrefix), cmp.Comparer(equalAddr)); d != "" {
		t.Errorf("a complete cluster changed when completed again:\n%s", d)
	}
	checkPeers(t, out)
	floods := map[string]map[netip.Addr]bool{} // local address -> who it sends to
	for name, h := range out.Hosts {
		if h.Text() != again.Hosts[name].Text() || h.Sum() != again.Hosts[name].Sum() {
			t.Errorf("%s: two compilations differ", name)
		}
		for _, l := range h.Links {
			if l.Tunnel == nil || l.Tunnel.Group.IsValid() {
				continue
			}
			key := fmt.Sprint(l.Tunnel.VNI, "/", l.Tunnel.Port, "/", l.Tunnel.Local)
			floods[key] = map[netip.Addr]bool{}
			for _, f := range h.AllFDB() {
				if f.Link == l.Name {
					floods[key][f.Dst] = true
				}
			}
		}
	}
	for a, to := range floods {
		at := strings.LastIndex(a, "/")
		for dst := range to {
			if !floods[a[:at+1]+dst.String()][netip.MustParseAddr(a[at+1:])] {
				t.Errorf("%s sends to %s, but not the other way", a, dst)
			}
		}
	}
}

// checkPeers holds for every mesh: whoever has a peer is its peer, no address has
// two ways, and packets arrive in one hop or, by the lead, in two.
func checkPeers(t *testing.T, out *ground.Compiled) {
	t.Helper()
	type device struct{ server, link string }
	byKey := map[string]device{}
	own := map[device][]netip.Addr{}
	peers := map[device][]spec.Peer{}
	for server, h := range out.Hosts {
		for _, l := range h.Links {
			if l.Kind == spec.WireGuard && l.Key != "" {
				byKey[l.Key] = device{server, l.Name}
			}
		}
		for _, a := range h.Addrs {
			own[device{server, a.Link}] = append(own[device{server, a.Link}], a.Prefix.Addr())
		}
		for _, p := range h.Peers {
			peers[device{server, p.Link}] = append(peers[device{server, p.Link}], p)
		}
	}
	next := func(from device, to netip.Addr) (via []device) {
		for _, p := range peers[from] {
			if slices.ContainsFunc(p.Allowed, func(a netip.Prefix) bool { return a.Contains(to) }) {
				via = append(via, byKey[p.Key])
			}
		}
		return via
	}
	for key, a := range byKey {
		for _, p := range peers[a] {
			b := byKey[p.Key]
			if !slices.ContainsFunc(peers[b], func(q spec.Peer) bool { return q.Key == key }) {
				t.Errorf("%v has the peer %v, but not the other way", a, b)
			}
		}
		for _, b := range byKey {
			if a == b || a.link != b.link {
				continue
			}
			for _, to := range own[b] {
				via := next(a, to)
				if len(via) == 1 && via[0] != b {
					via = next(via[0], to)
				}
				if len(via) != 1 || via[0] != b {
					t.Errorf("%v to %s of %v: by %v", a, to, b, via)
				}
			}
		}
	}
}

func equalPrefix(a, b netip.Prefix) bool { return a == b }
func equalAddr(a, b netip.Addr) bool     { return a == b }

package graph

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// compare holds what was drawn against a file of testdata.
func compare(t *testing.T, path, have string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), have); d != "" {
		t.Errorf("%s differs (make golden rewrites it):\n%s", path, d)
	}
}

func TestGoldens(t *testing.T) {
	for _, s := range []*sample{two(), ten(), fifty()} {
		m := s.model(t, "s2")
		compare(t, filepath.Join("testdata", s.c.Name+".dot"), m.Dot())
		compare(t, filepath.Join("testdata", s.c.Name+".mmd"), m.Mermaid())
	}
}

// Every member of every network is in exactly one group, which is on the network's line; a mesh
// has one line, and never one between every two members.
func TestEveryMemberIsOnItsLine(t *testing.T) {
	s := twoHundred()
	m := s.model(t)
	on := map[string][]string{}
	edges := 0
	for _, g := range m.Groups {
		edges += len(g.Lines)
		for _, w := range g.Servers {
			if on[w.Name] != nil {
				t.Errorf("%s is drawn twice", w.Name)
			}
			on[w.Name] = g.Lines
		}
	}
	for name, n := range s.c.Networks {
		for _, member := range n.Members {
			if !slices.Contains(on[member], name) {
				t.Errorf("%s is on %q, not on %s", member, on[member], name)
			}
		}
	}
	if edges > 60 {
		t.Errorf("%d edges for %d servers", edges, len(on))
	}
}

// Nothing covers anything else, all is within the picture, and no two branches of different
// lines are on one height.
func TestNothingOverlaps(t *testing.T) {
	for _, s := range []*sample{two(), ten(), fifty(), twoHundred()} {
		m := s.model(t)
		p := place(m)
		boxes := map[string]box{}
		for l, b := range p.cards {
			boxes["card "+l.Name] = b
		}
		for _, g := range m.Groups {
			boxes["group "+g.ID] = p.groups[g]
			for i, w := range g.Servers {
				in, around := p.servers[w], p.groups[g]
				if in.x < around.x || in.y < around.y || in.x+in.w > around.x+around.w || in.y+in.h > around.y+around.h {
					t.Errorf("%s: %s is outside of its group", s.c.Name, w.Name)
				}
				for _, other := range g.Servers[:i] {
					if overlap(in, p.servers[other]) {
						t.Errorf("%s: %s covers %s", s.c.Name, w.Name, other.Name)
					}
				}
			}
		}
		for a, x := range boxes {
			if x.x < 0 || x.y < 0 || x.x+x.w > p.w || x.y+x.h > p.h {
				t.Errorf("%s: %s is not within the picture", s.c.Name, a)
			}
			for b, y := range boxes {
				if a < b && overlap(x, y) {
					t.Errorf("%s: %s covers %s", s.c.Name, a, b)
				}
			}
		}
		heights := map[int]string{}
		for _, l := range m.Lines {
			for _, y := range p.lanes[l].branches {
				if other := heights[y]; other != "" && other != l.Name {
					t.Errorf("%s: branches of %s and %s are on one height", s.c.Name, l.Name, other)
				}
				heights[y] = l.Name
			}
		}
		if p.h > 3*p.w {
			t.Errorf("%s is %d wide and %d high", s.c.Name, p.w, p.h)
		}
	}
}

func overlap(a, b box) bool {
	return a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h
}

// elements reads a document of XML to its end, and counts its elements by name.
func elements(t *testing.T, text string) map[string]int {
	t.Helper()
	d, out := xml.NewDecoder(strings.NewReader(text)), map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("no XML: %s", err)
		}
		if e, begins := token.(xml.StartElement); begins {
			out[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("attribute %s of %s", a.Name.Local, e.Name.Local)
				}
			}
		}
	}
}

func TestSVGIsXML(t *testing.T) {
	for _, s := range []*sample{two(), ten(), fifty(), twoHundred()} {
		m := s.model(t, "s2")
		n := elements(t, m.SVG())
		if want := len(m.Servers()) + len(m.Lines); n["title"] != want {
			t.Errorf("%s: %d elements with details, want %d", s.c.Name, n["title"], want)
		}
	}
}

// hostile are names that end what they stand in, where that can be ended.
var hostile = []string{
	`</title><script>evil()</script>`, `"/><image href="http://evil/"/>`, `"]; evil [label="`, `\`, `\" evil`, "a\nevil", `"]:::x` + "\n" + `  click s1 evil`,
	`]]><!--`, `#quot;evil`, "%%{init: {}}%%", "{{.evil}}", "${evil}", "\x00\x1b[31m\u202e", "<b onclick=evil()>", "javascript:evil()",
}

// hostileModel is what a cluster file comes to whose every name is of those. Such a file is
// broken, and listed and drawn all the same.
func hostileModel(t *testing.T) *Model {
	t.Helper()
	c := &state.Cluster{Schema: state.Schema, Name: hostile[0], Servers: map[string]*state.Server{}, Networks: map[string]*state.Network{}}
	for i, name := range hostile {
		c.Servers[name] = &state.Server{Address: name, Attached: []state.Attachment{{Container: name, Interface: name, Bridge: name}}}
		c.Networks[name] = &state.Network{Type: name, Mode: name, Topology: name, Members: []string{name, hostile[(i+1)%len(hostile)]}, Shares: []string{name + ":10.0.0.0/24"}}
	}
	c, compiled, faults := edit.Salvage(c)
	if len(faults) == 0 {
		t.Fatal("such names are no fault")
	}
	return Build(c, view.Networks(c, compiled, nil), view.Servers(c, nil), true)
}

func TestHostileNamesInSVG(t *testing.T) {
	n := elements(t, hostileModel(t).SVG())
	for _, name := range []string{"svg", "style", "rect", "g", "path", "circle", "text", "title"} {
		delete(n, name)
	}
	if len(n) > 0 {
		t.Errorf("elements of others: %v", n)
	}
}

func TestHostileNamesInDot(t *testing.T) {
	text := hostileModel(t).Dot()
	outside := regexp.MustCompile(`"(\\.|[^"\\])*"`).ReplaceAllString(text, `""`)
	if strings.Contains(outside, "evil") || !regexp.MustCompile(`^[a-z0-9_=,;{}\[\]"A-Z. \n-]*$`).MatchString(outside) {
		t.Errorf("text outside of quotes:\n%s", outside)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if strings.Count(strings.ReplaceAll(strings.ReplaceAll(line, `\\`, ""), `\"`, ""), `"`)%2 != 0 {
			t.Errorf("a quote is open at the end of %s", line)
		}
	}
}

func TestHostileNamesInMermaid(t *testing.T) {
	m := hostileModel(t)
	lines := strings.Split(strings.TrimSpace(m.Mermaid()), "\n")
	form := regexp.MustCompile(`^ *([lsg]\d+ (---|-\.-) [lsg]\d+|classDef .*|end|subgraph g\d+\["[^"]*"\]|[ls]\d+[\[({/]+"([^"<>]|<br/>)*"[\])}/]+:::[a-z]+)$`)
	for _, line := range lines[4:] {
		if !form.MatchString(line) {
			t.Errorf("no line of ours: %s", line)
		}
		inner := regexp.MustCompile(`".*"`).FindString(line)
		if strings.ContainsAny(strings.ReplaceAll(strings.Trim(inner, `"`), "<br/>", ""), "<>\"'`[](){}|\\&") {
			t.Errorf("a label has characters that mean something: %s", inner)
		}
	}
	if !regexp.MustCompile(`^title: "[ -~]*"$`).MatchString(lines[1]) {
		t.Errorf("title: %s", lines[1])
	}
}

// A verdict gives a network its colour, and what is pending does where traffic showed nothing wrong.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		verdict string
		pending []string
		want    Health
		says    string
	}{
		{"passes", nil, Well, "passes 2026-11-29 09:30 UTC"},
		{"", nil, Unknown, "not verified"},
		{"passes", []string{"s1"}, Warned, "pending s1"},
		{"lost", []string{"s1"}, Bad, "lost 2026-11-29 09:30 UTC"},
		{"lossy", nil, Warned, "lossy 2026-11-29 09:30 UTC"},
		{"narrow", nil, Warned, "narrow 2026-11-29 09:30 UTC"},
		{"stalls", nil, Bad, "stalls 2026-11-29 09:30 UTC"},
		{"broken", nil, Bad, "broken 2026-11-29 09:30 UTC"},
	} {
		s := newSample("one", 2)
		s.add("vx1", &state.Network{Type: "vxlan", Members: members(1, 2, 1)}, c.verdict)
		l := s.model(t, c.pending...).Lines[0]
		if l.Health != c.want || l.Verdict != c.says {
			t.Errorf("%s, pending %q: want %s (%s), have %s (%s)", c.verdict, c.pending, c.want, c.says, l.Health, l.Verdict)
		}
	}
}

// More than four tunnels of one server are one line, with what is wrong with the worst of them.
func TestTunnelsOfAHub(t *testing.T) {
	for n, want := range map[int]int{4: 4, 5: 1} {
		s := newSample("hub", n+1)
		for i := range n {
			s.add(fmt.Sprint("t", i), &state.Network{Type: "gre", Subnets: prefixes(fmt.Sprintf("10.1.%d.0/30", i)), Members: []string{"s1", fmt.Sprint("s", i+2)}}, []string{"passes", "lost"}[min(i, 1)])
		}
		m := s.model(t)
		if len(m.Lines) != want {
			t.Errorf("%d tunnels are %d lines, want %d", n, len(m.Lines), want)
		}
		if l := m.Lines[0]; want == 1 && (l.Health != Bad || l.Verdict != "4 lost, 1 passing" || len(l.Details) != 6) {
			t.Errorf("they are %s: %s, with %d lines", l.Health, l.Verdict, len(l.Details))
		}
	}
}

// TestTunnelsWithoutMembers: a file that a person broke is drawn all the same.
func TestTunnelsWithoutMembers(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"t": {Type: "gre"}}}
	if out := tunnelLines(c, []*view.Network{{Name: "t", Type: "gre"}}); len(out) != 1 {
		t.Errorf("%d lines", len(out))
	}
}

// What is pointed at says addresses, keys, MTUs, subnets, containers and the last verdict.
func TestDetails(t *testing.T) {
	m := ten().model(t)
	s1 := m.Servers()[slices.IndexFunc(m.Servers(), func(s *Server) bool { return s.Name == "s1" })]
	text := strings.Join(s1.Details, "\n")
	for _, want := range []string{
		"s1: ready", "address 10.99.0.1", "MTU 1500", "host key SHA256:s1", "apps (vxlan): 10.0.4.254", "secure (wireguard): 10.0.8.1", "MTU 1440", "hub", "shares 10.0.10.0/24",
		"container lxc/web eth1 10.0.4.200 on vxl0", "verified 2026-11-29 09:30:00 UTC: 8 of 12 paths pass, 4 without an answer",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing of %q in\n%s", want, text)
		}
	}
	for _, l := range m.Lines {
		if l.Sort == SortRouter && !slices.Contains(l.Details, "session with s2, bfd 300 ms") {
			t.Errorf("router: %q", l.Details)
		}
	}
}

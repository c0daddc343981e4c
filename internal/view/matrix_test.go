package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// matrixOf is the matrix of a network of many members; spoil makes some legs bad.
func matrixOf(t *testing.T, members int, name string, spoil func(*verify.Tried)) []string {
	t.Helper()
	v := &change.Verification{Cluster: &state.Cluster{Networks: map[string]*state.Network{"vx1": {Type: "vxlan"}}}}
	for i := range members {
		for j := range members {
			leg := verify.Tried{
				Leg:    verify.Leg{Network: "vx1", From: fmt.Sprint(name, i+1), To: fmt.Sprint(name, j+1), Echo: spec.Echo{MTU: 1450}},
				Echoed: spec.Echoed{Sent: 5, Heard: 5, Passes: 1450, Min: time.Millisecond, Median: time.Duration(1+i) * time.Millisecond},
			}
			if spoil(&leg); i != j {
				v.Legs = append(v.Legs, leg)
			}
		}
	}
	var out bytes.Buffer
	p := &Page{Streams: screen.Streams{Out: &out}, Getenv: func(string) string { return "" }}
	if err := p.matrix(VerifiedOf(v)[0]); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// TestMatrixFits: 80 columns hold any number of members, whatever they are called and however bad
// it is.
func TestMatrixFits(t *testing.T) {
	t.Parallel()
	for _, members := range []int{2, matrixMost, matrixMost + 1, 60} {
		for _, name := range []string{"s", "a-rather-long-name-of-a-server-"} {
			for _, spoil := range []func(*verify.Tried){
				func(*verify.Tried) {},
				func(l *verify.Tried) { l.Passes = 1400 },
				func(l *verify.Tried) { l.Flow = &spec.Flowed{Open: true} },
				func(l *verify.Tried) { l.Sent, l.Heard = 40, 39 },
			} {
				lines := matrixOf(t, members, name, spoil)
				if want := min(members, matrixMost); len(lines) > want+1 {
					t.Errorf("%d members: %d lines", members, len(lines))
				}
				for _, line := range lines {
					if width := utf8.RuneCountInString(line); width > matrixWidth {
						t.Errorf("%d members: %d columns: %s", members, width, line)
					}
				}
			}
		}
	}
}

// TestMatrixOfGroups: of many members a cell has the slowest round trip between two groups, or how
// many paths are bad.
func TestMatrixOfGroups(t *testing.T) {
	t.Parallel()
	lines := matrixOf(t, 18, "s", func(l *verify.Tried) {
		if l.From == "s1" && l.To != "s2" && (l.To == "s3" || l.To == "s4") {
			l.Heard = 0
		}
	})
	if len(lines) != 10 || strings.Join(strings.Fields(lines[1])[:4], " ") != "1 s1..s2 2.00 !2" || strings.Fields(lines[9])[1] != "s17..s18" {
		t.Errorf("have\n%s", strings.Join(lines, "\n"))
	}
}

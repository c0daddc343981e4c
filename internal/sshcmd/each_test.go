package sshcmd

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
)

// TestWhatServersPrintIsBounded: a line without an end is shown in parts, and of what is kept for
// JSON the first.
func TestWhatServersPrintIsBounded(t *testing.T) {
	var out bytes.Buffer
	a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Out: &out}}}}
	l := newServerLines(a, []string{"s1"})
	block := strings.Repeat("x", 1<<16)
	for range 64 {
		if n, err := io.WriteString(l.out("s1"), block); n != len(block) || err != nil {
			t.Fatal(n, err)
		}
	}
	if have := l.all["s1"][0].rest.Cap(); have > 4*longestLine {
		t.Errorf("%d bytes are kept of a line", have)
	}
	l.end()
	if have := strings.Count(out.String(), "x"); have != 64<<16 {
		t.Errorf("%d of %d bytes were shown", have, 64<<16)
	}
	a.Output = view.FormJSON
	l = newServerLines(a, []string{"s1"})
	for range mostKept>>16 + 2 {
		if _, err := io.WriteString(l.out("s1"), block); err != nil {
			t.Fatal(err)
		}
	}
	docs := l.docs([]change.Ran{{Server: "s1"}})
	if len(docs[0].Out) != mostKept || !docs[0].Cut {
		t.Errorf("%d bytes, cut %v", len(docs[0].Out), docs[0].Cut)
	}
}

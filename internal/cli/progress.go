package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/spec"
)

// progress shows what each server does: on a terminal one line per server, rewritten in
// place and removed at the end; otherwise one line per event.
type progress struct {
	a     *app
	live  bool
	quiet bool

	mu      sync.Mutex // guards below and the writing
	at      map[string]string
	finish  int
	drawn   int // lines on the screen now
	last    time.Time
	stopped bool
}

const (
	// mostLive is how many servers are shown at once; the rest are counted.
	mostLive = 12
	// redraw is the shortest pause between two updates of the screen while there are
	// more.
	redraw = 50 * time.Millisecond
)

func newProgress(a *app) *progress {
	dumb := a.getenv("TERM") == "dumb"
	return &progress{a: a, live: a.ErrTTY && !dumb && !a.flags.verbose, quiet: a.flags.quiet, at: map[string]string{}}
}

// event shows one line of a server. It may be called concurrently.
func (p *progress) event(e change.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet || p.stopped {
		return
	}
	if !p.live {
		// The summary shows the result, and counts the steps.
		if !e.Done && (p.a.flags.verbose || !isStep(e.Line) && e.Line != change.LinePlanned) {
			_ = p.a.print(p.a.Err, "%s: %s\n", e.Server, e.Line)
		}
		return
	}
	if e.Done {
		if _, known := p.at[e.Server]; known {
			p.finish++
		}
		delete(p.at, e.Server)
	} else {
		p.at[e.Server] = e.Line
	}
	if len(p.at) > mostLive && time.Since(p.last) < redraw {
		return
	}
	p.clear()
	p.draw()
}

// isStep says whether a line of progress is one step of many.
func isStep(line string) bool {
	return slices.ContainsFunc([]string{spec.Add, spec.Change, spec.Remove}, func(action string) bool {
		return strings.HasPrefix(line, action+" ")
	})
}

// note prints a line that stays.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet || p.stopped {
		return
	}
	p.clear()
	_ = p.a.print(p.a.Err, "%s\n", line)
	p.draw()
}

// stop removes the lines from the screen.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.stopped = true
}

// clear removes the live lines. The caller holds mu.
func (p *progress) clear() {
	if p.drawn > 0 {
		_ = p.a.print(p.a.Err, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw puts the live lines on the screen. The caller holds mu.
func (p *progress) draw() {
	if !p.live || len(p.at) == 0 {
		return
	}
	p.last = time.Now()
	var b strings.Builder
	names := make([]string, 0, len(p.at))
	for name := range p.at {
		names = append(names, name)
	}
	slices.SortFunc(names, byName)
	shown := names[:min(len(names), mostLive)]
	longest := 0
	for _, name := range shown {
		longest = max(longest, len(name))
	}
	for _, name := range shown {
		b.WriteString(cut(visible(fmt.Sprintf("%-*s  %s", longest, name, p.at[name])), p.a.width()-1) + "\n")
	}
	p.drawn = len(shown)
	if more := len(names) - len(shown); more > 0 || p.finish > 0 {
		fmt.Fprintf(&b, "%d of %d servers are through\n", p.finish, p.finish+len(names))
		p.drawn++
	}
	_ = p.a.print(p.a.Err, "%s", ink(b.String()))
}

// cut shortens one line to columns; with less than one column, the width is unknown and
// nothing is cut.
func cut(line string, columns int) string {
	runes := []rune(line)
	if columns < 1 || len(runes) <= columns {
		return line
	}
	return string(runes[:columns-1]) + "…"
}

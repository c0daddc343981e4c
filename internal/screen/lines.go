package screen

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Lines shows what each of many does: on a terminal one line each, rewritten in place
// and removed at the end; otherwise one line per event. Questions are asked between.
type Lines struct {
	s     Streams
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
	// mostLive is how many lines are shown at once; the rest are counted.
	mostLive = 12
	// redraw is the shortest pause between two updates of the screen while there are more.
	redraw = 50 * time.Millisecond
)

// NewLines returns lines on s.Err. Live rewrites them in place, quiet shows none.
func NewLines(s Streams, live, quiet bool) *Lines {
	return &Lines{s: s, live: live, quiet: quiet, at: map[string]string{}}
}

// Event shows what name does now, or that it is done. Minor says that the line is shown
// in place only. It may be called concurrently.
func (l *Lines) Event(name, line string, done, minor bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet || l.stopped {
		return
	}
	if !l.live {
		if !done && !minor {
			_ = Print(l.s.Err, "%s: %s\n", name, line)
		}
		return
	}
	if done {
		if _, known := l.at[name]; known {
			l.finish++
		}
		delete(l.at, name)
	} else {
		l.at[name] = line
	}
	if len(l.at) > mostLive && time.Since(l.last) < redraw {
		return
	}
	l.clear()
	l.draw()
}

// Note prints a line that stays.
func (l *Lines) Note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet || l.stopped {
		return
	}
	l.clear()
	_ = Print(l.s.Err, "%s\n", line)
	l.draw()
}

// Stop removes the lines from the screen.
func (l *Lines) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	l.stopped = true
}

// clear removes the live lines. The caller holds mu.
func (l *Lines) clear() {
	if l.drawn > 0 {
		_ = Print(l.s.Err, "\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}

// draw puts the live lines on the screen. The caller holds mu.
func (l *Lines) draw() {
	if !l.live || len(l.at) == 0 {
		return
	}
	l.last = time.Now()
	var b strings.Builder
	names := make([]string, 0, len(l.at))
	for name := range l.at {
		names = append(names, name)
	}
	slices.SortFunc(names, ByName)
	shown := names[:min(len(names), mostLive)]
	longest := 0
	for _, name := range shown {
		longest = max(longest, len(name))
	}
	for _, name := range shown {
		b.WriteString(Cut(Visible(fmt.Sprintf("%-*s  %s", longest, name, l.at[name])), l.s.Columns()-1) + "\n")
	}
	l.drawn = len(shown)
	if more := len(names) - len(shown); more > 0 || l.finish > 0 {
		fmt.Fprintf(&b, "%d of %d servers are done\n", l.finish, l.finish+len(names))
		l.drawn++
	}
	_ = Print(l.s.Err, "%s", Ink(b.String()))
}

// Cut shortens one line to columns; with less than one column, the width is unknown and
// nothing is cut.
func Cut(line string, columns int) string {
	runes := []rune(line)
	if columns < 1 || len(runes) <= columns {
		return line
	}
	return string(runes[:columns-1]) + "…"
}

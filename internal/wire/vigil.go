package wire

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Beat is how often each side of a session shows the other that it is there: the
// workstation always, the agent while it works on a request.
const Beat = 5 * time.Second

// Vigil counts the beats in which nothing moved on a session. It counts by a timer that
// starts anew when it was heard, not by the clock: whoever was stopped itself for a while
// (a closed laptop, Ctrl-Z) finds one beat missed when it goes on, and what came
// meanwhile. A session that is over within a beat pays for one timer. The zero Vigil
// counts nothing yet.
type Vigil struct {
	moved atomic.Bool // since the last beat

	mu     sync.Mutex // guards below
	timer  *time.Timer
	over   bool
	missed int
}

// Begin calls tick at every beat from now on, on a goroutine of its own, with how many of
// them passed since something moved. Once per Vigil.
func (v *Vigil) Begin(beat time.Duration, tick func(missed int)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timer = time.AfterFunc(beat, func() {
		tick(v.count())
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.over {
			v.timer.Reset(beat)
		}
	})
}

func (v *Vigil) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.missed++
	if v.moved.Swap(false) {
		v.missed = 0
	}
	return v.missed
}

// End calls tick no more; one that is under way goes on.
func (v *Vigil) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	if v.timer != nil {
		v.timer.Stop()
	}
}

// Moved says that something moved.
func (v *Vigil) Moved() { v.moved.Store(true) }

// Reader is r; what is read by it is a sign of life.
func (v *Vigil) Reader(r io.Reader) io.Reader { return &vigilReader{r, v} }

type vigilReader struct {
	r io.Reader
	v *Vigil
}

func (r *vigilReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n > 0 {
		r.v.Moved()
	}
	return n, err
}

// Writer is w; what is written by it is a sign of life, since somebody takes it: piece by
// piece, a large frame takes a slow connection many beats.
func (v *Vigil) Writer(w io.Writer) io.Writer { return &vigilWriter{w, v} }

// piece is how much may be under way, in bytes, before it counts that it is taken.
const piece = 32 << 10

type vigilWriter struct {
	w io.Writer
	v *Vigil
}

func (w *vigilWriter) Write(b []byte) (int, error) {
	done := 0
	for {
		n, err := w.w.Write(b[done:min(done+piece, len(b))])
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
		w.v.Moved()
	}
}

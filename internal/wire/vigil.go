package wire

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Beat is the pause between heartbeats: the workstation always sends them, the agent
// while it works on a request.
const Beat = 5 * time.Second

// Vigil counts the beats in which nothing was read or written on a session. It uses a
// timer that starts again with every sign of life, not the clock: a program that was
// stopped for a while (a closed laptop, Ctrl-Z) then finds one missed beat when it
// continues, and reads what arrived meanwhile. A session that ends within a beat costs
// one timer. The zero Vigil counts nothing yet.
type Vigil struct {
	moved atomic.Bool // since the last beat

	mu     sync.Mutex // guards below
	timer  *time.Timer
	over   bool
	missed int
}

// Begin calls tick at every beat from now on, in its own goroutine, with the number of
// beats since the last sign of life. It is called once per Vigil.
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

// End stops the calls of tick; one that runs is not interrupted.
func (v *Vigil) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	if v.timer != nil {
		v.timer.Stop()
	}
}

// Moved notes a sign of life.
func (v *Vigil) Moved() { v.moved.Store(true) }

// Reader is r; every read from it is a sign of life.
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

// Writer is w; every write to it is a sign of life, since the other side reads it: in
// pieces, because a large frame takes many beats on a slow connection.
func (v *Vigil) Writer(w io.Writer) io.Writer { return &vigilWriter{w, v} }

// piece is how many bytes are written at once.
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

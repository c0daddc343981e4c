//go:build linux

package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const within = 10 * time.Second

type question struct{ N int }

type answer struct{ N int }

// serve answers a number with the next one, and 0 by ending.
func serve(t *testing.T) (path string, ended chan error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		ended <- Serve(ctx, l, within, func(_ context.Context, q question) *answer {
			if q.N == 0 {
				_ = l.Close()
			}
			return &answer{q.N + 1}
		})
	}()
	return path, ended
}

func TestWhoAsksNothingKeepsNobodyWaiting(t *testing.T) {
	path, _ := serve(t)
	silent, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var a answer
	if err := Ask(t.Context(), path, within, question{41}, &a); err != nil || a.N != 42 {
		t.Errorf("have %+v, %v", a, err)
	}
}

// TestTheLastAnswerIsHeard: an order that ends the daemon is answered before it ends.
func TestTheLastAnswerIsHeard(t *testing.T) {
	path, ended := serve(t)
	for range 50 {
		var a answer
		if err := Ask(t.Context(), path, within, question{0}, &a); err != nil || a.N != 1 {
			t.Fatalf("have %+v, %v", a, err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		path, ended = serve(t)
	}
}

func TestSilenceHasAnEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Ask(t.Context(), path, 20*time.Millisecond, question{1}, &answer{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("have %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := Ask(ctx, path, within, question{1}, &answer{}); err == nil {
		t.Error("it answered")
	}
}

// TestSocketOfTheDead: a process that was killed leaves its socket.
func TestSocketOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Listen(path); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("have %v, %v", info.Mode(), err)
	}
}

// TestServeEndsWithItsContext: nobody waits for one that has not asked, however close its
// connection is to the end. Each try is another order of the two.
func TestServeEndsWithItsContext(t *testing.T) {
	for range 500 {
		path := filepath.Join(t.TempDir(), "sock")
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		silent, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		ended := make(chan error, 1)
		go func() {
			ended <- Serve(ctx, l, time.Hour, func(context.Context, question) *answer { return nil })
		}()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it waits for one that has not asked")
		}
		silent.Close()
	}
}

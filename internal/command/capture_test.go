package command

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file that exists keeps what it has until servers take packets, and is its owner's alone then.
func TestCaptureFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(name, []byte("before"), 0o644); err != nil { //nolint:gosec // it is the test's point
		t.Fatal(err)
	}
	f, fresh, begin, err := captureFile(name)
	if err != nil || fresh {
		t.Fatal(fresh, err)
	}
	defer f.Close()
	if have, _ := os.ReadFile(name); string(have) != "before" {
		t.Errorf("%q is left before anything was taken", have)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(name); err != nil || i.Mode() != 0o600 || i.Size() != 0 {
		t.Error(i, err)
	}
	pipe, fresh, begin, err := captureFile(os.DevNull)
	if err != nil || fresh || begin() != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	if i, err := os.Stat(os.DevNull); err != nil || i.Mode().Perm() == 0o600 {
		t.Error(i, err)
	}
}

// A reader that has stopped is not waited for when the capture is over; until then it is, and one
// that reads gets all.
func TestCaptureReader(t *testing.T) {
	t.Parallel()
	from, to := io.Pipe()
	over, end := context.WithCancel(t.Context())
	defer end()
	r := &reader{to: to, over: over}
	text := make([]byte, 3*readerPart+1)
	text[len(text)-1] = 7
	go func() { // an error is seen by what comes
		_, _ = r.Write(text)
		_ = to.Close()
	}()
	if have, err := io.ReadAll(from); err != nil || len(have) != len(text) || have[len(have)-1] != 7 {
		t.Fatal(len(have), err)
	}
	_, to = io.Pipe()
	r = &reader{to: to, over: over}
	done := make(chan error)
	go func() {
		_, err := r.Write(text)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it ends before the capture: %v", err)
	default:
	}
	end()
	if err := <-done; !errors.Is(err, errUnread) {
		t.Errorf("have %v", err)
	}
}

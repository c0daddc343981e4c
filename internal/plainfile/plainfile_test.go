package plainfile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestReadEnds: whatever a name leads to, reading comes to an end, and nothing but a plain
// file of bounded size is read.
func TestReadEnds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("plain"), []byte("12345678"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("plain", at("link")), os.Symlink("/dev/zero", at("endless")), syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(at("huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sparse.Truncate(1<<40), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		at("plain"): "", at("link"): "", os.DevNull: "",
		at("huge"): "too large", at("endless"): "not a plain file", "/dev/zero": "not a plain file", at("pipe"): "not a plain file",
		dir: "is a directory", at("none"): "no such file",
	} {
		data, err := Read(path, 8)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", path, data, err, want)
		}
		if want == "" && path != os.DevNull && string(data) != "12345678" {
			t.Errorf("%s: %q", path, data)
		}
	}
	if _, err := Read(at("plain"), 7); !errors.Is(err, ErrTooLarge) {
		t.Errorf("8 bytes of 7: %v", err)
	}
	if _, err := ReadPipe(at("pipe"), 8); err == nil || !strings.Contains(err.Error(), "nothing comes out") {
		t.Errorf("a pipe without a writer: %v", err)
	}
}

// TestReadPipe: what the shell puts in a pipe is read to its end, and no further than most.
func TestReadPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = w.WriteString("hello"); _ = w.Close() }()
	path := filepath.Join("/dev/fd", strconv.Itoa(int(r.Fd())))
	data, err := ReadPipe(path, 5)
	if err != nil || string(data) != "hello" {
		t.Fatalf("%q, %v", data, err)
	}
	if _, err := Limit(strings.NewReader("123456"), 5); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("6 bytes of 5: %v", err)
	}
}

package lookcmd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/spec"
)

// A file whose permissions cannot be changed is told, and the next is changed.
func TestCloseFiles(t *testing.T) {
	gone, there := filepath.Join(t.TempDir(), "gone"), filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	come := closeFiles([]doctor.Open{{Path: gone, Mode: 0o666, Most: 0o664}, {Path: there, Mode: 0o666, Most: 0o640}})
	if come[gone] == nil || come[there] != nil {
		t.Errorf("came of it: %v", come)
	}
	if info, err := os.Stat(there); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Only what begins as a private key does is one.
func TestOwnKey(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"key":     {"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", true},
		"rsa":     {"-----BEGIN RSA PRIVATE KEY-----\n", true},
		"key.pub": {"ssh-ed25519 AAAA a@b\n", false},
		"cert":    {"-----BEGIN CERTIFICATE-----\n", false},
		"empty":   {"", false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ownKey(path) != c.want {
			t.Errorf("%s: want %t", name, c.want)
		}
	}
	if ownKey(filepath.Join(dir, "gone")) || ownKey(dir) {
		t.Error("what is no file is a key")
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Lchown(filepath.Join(dir, "key"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if ownKey(filepath.Join(dir, "key")) {
		t.Error("a key of somebody else is the operator's")
	}
}

// A line that ran and failed is told by what it printed, or its status.
func TestFailure(t *testing.T) {
	for _, c := range []struct {
		ran  spec.Ran
		want string
	}{
		{spec.Ran{Text: "net.ipv4.ip_forward = 1\n"}, ""},
		{spec.Ran{Text: "sh: no such thing\n", Status: 127}, "sh: no such thing"},
		{spec.Ran{Status: 3}, "exit status 3"},
		{spec.Ran{Text: "half", Status: -1, Why: "no end within 20s"}, "no end within 20s"},
	} {
		if have := failure(c.ran); have != c.want {
			t.Errorf("%+v: want %q, have %q", c.ran, c.want, have)
		}
	}
}

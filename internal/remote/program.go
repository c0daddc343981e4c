package remote

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/flocknet/flock/internal/hint"
)

// BuiltinAgent opens the agent's program for linux/arch, as far as this
// executable carries it: itself on Linux of the same architecture, otherwise what
// `make release` packed into it.
func BuiltinAgent(arch string) (io.ReadCloser, error) {
	if runtime.GOOS == "linux" && runtime.GOARCH == arch {
		// Not os.Executable: the file may have been replaced since we started.
		return os.Open("/proc/self/exe")
	}
	f, err := carried(arch)
	if err != nil {
		return nil, hint.Errorf("", "make release, then use dist/flock-"+runtime.GOOS+"-"+runtime.GOARCH,
			"%w: this flock carries no agent for linux/%s", ErrAgent, arch)
	}
	return f, nil
}

// program is the agent's binary for one architecture, looked at once.
type program struct {
	arch    string
	version func() (string, error) // its name on servers
	digest  func() (digest, error)
	plain   func() ([]byte, error)
	packed  func() ([]byte, error) // gzip
}

// digest identifies a binary.
type digest struct {
	size int64
	sum  string // SHA-256, hex
}

// program returns the agent for linux/arch. Whether there is one shows in version.
func (d *Dialer) program(arch string) *program {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.programs[arch]; p != nil {
		return p
	}
	open := d.Agents
	if open == nil {
		open = BuiltinAgent
	}
	p := &program{arch: arch}
	p.version = sync.OnceValues(func() (string, error) { return versionOf(open, arch) })
	p.digest = sync.OnceValues(func() (digest, error) { return digestOf(open, arch) })
	p.plain = sync.OnceValues(func() ([]byte, error) { return readAll(open, arch) })
	p.packed = sync.OnceValues(func() ([]byte, error) { return pack(p.plain) })
	if d.programs == nil {
		d.programs = map[string]*program{}
	}
	d.programs[arch] = p
	return p
}

// expectProgram begins to look at the binary that t probably needs, while the
// login waits for the network.
func (d *Dialer) expectProgram(t Target) {
	p := d.program(t.arch())
	go func() { _, _ = p.version() }() // whoever needs it gets the same error
}

// arch is the architecture of t, or the one to try first.
func (t Target) arch() string {
	switch {
	case t.Arch != "":
		return t.Arch
	case runtime.GOOS == "linux" || t.local():
		return runtime.GOARCH
	}
	return "amd64"
}

// versionOf names a binary by what Go's linker noted about its content: to sum up
// all of it costs as much as half a login. One without the note is summed up.
func versionOf(open func(string) (io.ReadCloser, error), arch string) (version string, err error) {
	f, err := open(arch)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r, ok := f.(io.ReaderAt); ok {
		if note := buildID(r); len(note) > 0 {
			sum := sha256.Sum256(note)
			return hex.EncodeToString(sum[:])[:16], nil
		}
	}
	g, err := digestOf(open, arch)
	if err != nil {
		return "", err
	}
	return g.sum[:16], nil
}

// buildID returns the note with Go's build ID, nil where there is none.
func buildID(r io.ReaderAt) []byte {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil
	}
	s := f.Section(".note.go.buildid")
	if s == nil {
		return nil
	}
	note, err := s.Data()
	if err != nil {
		return nil
	}
	return note
}

func digestOf(open func(string) (io.ReadCloser, error), arch string) (g digest, err error) {
	f, err := open(arch)
	if err != nil {
		return digest{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return digest{}, fmt.Errorf("%w: read agent for %s: %w", ErrAgent, arch, err)
	}
	return digest{n, hex.EncodeToString(hash.Sum(nil))}, nil
}

func readAll(open func(string) (io.ReadCloser, error), arch string) (data []byte, err error) {
	f, err := open(arch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(f); err != nil {
		return nil, fmt.Errorf("%w: read agent for %s: %w", ErrAgent, arch, err)
	}
	return data, nil
}

func pack(plain func() ([]byte, error)) ([]byte, error) {
	data, err := plain()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compress agent: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress agent: %w", err)
	}
	return b.Bytes(), nil
}

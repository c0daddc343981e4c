package remote

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
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
	arch   string
	digest func() (digest, error)
	plain  func() ([]byte, error)
	packed func() ([]byte, error) // gzip
}

// digest identifies a binary.
type digest struct {
	size int64
	sum  string // SHA-256, hex
}

// version is the name of the binary on servers.
func (g digest) version() string { return g.sum[:16] }

// program returns the agent for linux/arch. Whether there is one shows in digest.
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
	p.digest = sync.OnceValues(func() (digest, error) { return digestOf(open, arch) })
	p.plain = sync.OnceValues(func() ([]byte, error) { return readAll(open, arch) })
	p.packed = sync.OnceValues(func() ([]byte, error) { return pack(p.plain) })
	if d.programs == nil {
		d.programs = map[string]*program{}
	}
	d.programs[arch] = p
	return p
}

// expectProgram begins to sum up the binary that t probably needs, while the
// login waits for the network.
func (d *Dialer) expectProgram(t Target) {
	p := d.program(t.arch())
	go func() { _, _ = p.digest() }() // whoever needs it gets the same error
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

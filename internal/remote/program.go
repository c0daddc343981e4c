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
	"runtime"
	"sync"

	"github.com/flocknet/flock/internal/spec"
)

// program is one of the agent's programs. It is read once.
type program struct {
	Build
	version  func() (string, error) // its name on servers
	digest   func() (digest, error)
	unpacked func() ([]byte, error)
	packed   func() ([]byte, error) // gzip
}

// digest identifies a binary.
type digest struct {
	size int64
	sum  string // SHA-256, hex
}

// program returns the agent that b names. version reports an error if there is none.
func (d *Dialer) program(b Build) *program {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.programs[b]; p != nil {
		return p
	}
	open := d.Agents
	if open == nil {
		open = BuiltinAgent
	}
	source := func() (io.ReadCloser, error) { return open(b) }
	p := &program{Build: b}
	p.version = sync.OnceValues(func() (string, error) { return versionOf(source) })
	p.digest = sync.OnceValues(func() (digest, error) { return digestOf(p.unpacked) })
	p.unpacked = sync.OnceValues(func() ([]byte, error) { return readAll(source) })
	p.packed = sync.OnceValues(func() ([]byte, error) { return pack(source) })
	if d.programs == nil {
		d.programs = map[Build]*program{}
	}
	d.programs[b] = p
	return p
}

// expectProgram begins to read the program that t probably needs while the login waits
// for the network.
func (d *Dialer) expectProgram(t Target) {
	p := d.program(t.build())
	go func() { _, _ = p.version() }() // a later caller gets the same error
}

// build is the program that t needs: of its architecture, or of the one to try first.
func (t Target) build() Build { return Build{t.arch(), t.Variant} }

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

// source opens one of the agent's binaries.
type source func() (io.ReadCloser, error)

// versionOf names a program by the build ID that Go's linker wrote into it: a checksum
// of the whole file costs as much as half a login. It is used only if there is no build
// ID.
func versionOf(open source) (version string, err error) {
	f, err := open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var note []byte
	switch f := f.(type) {
	case *packedAgent:
		note = []byte(f.id)
	case io.ReaderAt:
		note = buildID(f)
	}
	hash := sha256.New()
	if len(note) > 0 {
		hash.Write(note)
	} else if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("%w: read agent: %w", ErrAgent, err)
	}
	return hex.EncodeToString(hash.Sum(nil))[:spec.VersionLength], nil
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

func digestOf(unpacked func() ([]byte, error)) (digest, error) {
	data, err := unpacked()
	if err != nil {
		return digest{}, err
	}
	sum := sha256.Sum256(data)
	return digest{int64(len(data)), hex.EncodeToString(sum[:])}, nil
}

func readAll(open source) (data []byte, err error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(f); err != nil {
		return nil, fmt.Errorf("%w: read agent: %w", ErrAgent, err)
	}
	return data, nil
}

// pack compresses a program, unless it is embedded in compressed form.
func pack(open source) (data []byte, err error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if p, ok := f.(*packedAgent); ok {
		return p.gz, nil
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, f); err != nil {
		return nil, fmt.Errorf("%w: compress agent: %w", ErrAgent, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("%w: compress agent: %w", ErrAgent, err)
	}
	return b.Bytes(), nil
}

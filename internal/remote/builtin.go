package remote

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/flocknet/flock/internal/hint"
)

// Variant is one of the programs that the agent exists as. All take the same arguments;
// most servers need only the slim one.
type Variant string

// The variants.
const (
	Slim    Variant = ""    // cmd/flock/agent
	WithBGP Variant = "bgp" // cmd/flock/agentbgp: with the BGP daemon, thrice as big
)

// Build names one program: an agent for linux/Arch.
type Build struct {
	Arch    string // GOARCH
	Variant Variant
}

// name is the name of b's files among the embedded programs: ARCH or ARCH-VARIANT.
func (b Build) name() string {
	if b.Variant == Slim {
		return b.Arch
	}
	return b.Arch + "-" + string(b.Variant)
}

// released are the architectures for which `make release` builds agents.
var released = []string{"amd64", "arm64", "arm", "riscv64", "386"}

// BuiltinAgent opens the program that b names: the one that the build embedded; or, if
// this build embeds none, this executable itself, on Linux of the same architecture, for
// all variants.
func BuiltinAgent(b Build) (io.ReadCloser, error) {
	p, alone, err := embeddedAgent(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: read the agent for linux/%s: %w", ErrAgent, b.name(), err)
	case p != nil:
		return p, nil
	case !alone && runtime.GOOS == "linux" && runtime.GOARCH == b.Arch:
		// Not os.Executable: the file may have been replaced since we started.
		return os.Open("/proc/self/exe")
	}
	next := "make release, then use dist/flock-" + runtime.GOOS + "-" + runtime.GOARCH
	if !slices.Contains(released, b.Arch) {
		next = "make build ARCHES=" + hint.Shell(runtime.GOARCH+" "+b.Arch)
	}
	return nil, hint.Errorf("", next,
		"%w: this flock carries no agent for linux/%s", ErrAgent, b.name())
}

// packedAgent is an embedded, compressed program. Only Read decompresses it; its name
// and its compressed form are there at no cost.
type packedAgent struct {
	id string // Go's build ID
	gz []byte
	r  *gzip.Reader // set by the first Read
}

func (p *packedAgent) Read(b []byte) (int, error) {
	if p.r == nil {
		r, err := gzip.NewReader(bytes.NewReader(p.gz))
		if err != nil {
			return 0, err
		}
		p.r = r
	}
	return p.r.Read(b)
}

func (p *packedAgent) Close() error { return nil }

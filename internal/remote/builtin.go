package remote

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/flocknet/flock/internal/hint"
)

// Variant is one of the programs that an agent comes as. All take the same words;
// what a variant has beyond the slim one, most servers never need.
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

// name is that of b's files where a build of flock carries it: ARCH or ARCH-VARIANT.
func (b Build) name() string {
	if b.Variant == Slim {
		return b.Arch
	}
	return b.Arch + "-" + string(b.Variant)
}

// BuiltinAgent opens the program that b names, as far as this executable carries it:
// what the build packed into it; without that, itself, on Linux of the same
// architecture, for all variants.
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
	return nil, hint.Errorf("", "make release, then use dist/flock-"+runtime.GOOS+"-"+runtime.GOARCH,
		"%w: this flock carries no agent for linux/%s", ErrAgent, b.name())
}

// packedAgent is a program that is embedded compressed. Reading it unpacks it; its
// name and its packed form cost nothing.
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

//go:build carry

package remote

import (
	"compress/gzip"
	"embed"
	"io"
)

// agents holds linux-ARCH.gz for the architectures of a release.
//
//go:embed agents/*.gz
var agents embed.FS

// carried opens the agent for linux/arch that was packed into this executable.
func carried(arch string) (io.ReadCloser, error) {
	f, err := agents.Open("agents/linux-" + arch + ".gz")
	if err != nil {
		return nil, err
	}
	return gzip.NewReader(f)
}

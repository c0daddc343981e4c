//go:build carry

package remote

import (
	"embed"
	"errors"
	"io/fs"
	"strings"
)

// agents holds, for every build, the program as NAME.gz and the build ID that Go's
// linker gave it as NAME.id. `make build` puts them there.
//
//go:embed agents/*.gz agents/*.id
var agents embed.FS

// embeddedAgent is the agent b as it was embedded into this executable; nil if it was
// not. alone says that this executable is no agent itself.
func embeddedAgent(b Build) (p *packedAgent, alone bool, err error) {
	name := "agents/" + b.name()
	id, err := agents.ReadFile(name + ".id")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, true, err
	}
	data, err := agents.ReadFile(name + ".gz")
	if err != nil {
		return nil, true, err
	}
	return &packedAgent{id: strings.TrimSpace(string(id)), gz: data}, true, nil
}

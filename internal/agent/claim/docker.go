//go:build linux

package claim

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/wire"
)

const dockerConfig = "/etc/docker/daemon.json"

// dockerPools are the prefixes Docker's configuration takes networks from. A
// server without the file has none.
func dockerPools(path string) ([]netip.Prefix, error) {
	data, err := sysfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	var config struct {
		BIP       string `json:"bip"`
		Fixed     string `json:"fixed-cidr"`
		Fixed6    string `json:"fixed-cidr-v6"`
		AddrPools []struct {
			Base string `json:"base"`
		} `json:"default-address-pools"`
	}
	if err := wire.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read Docker's configuration %s: %w", path, err)
	}
	texts := []string{config.BIP, config.Fixed, config.Fixed6}
	for _, p := range config.AddrPools {
		texts = append(texts, p.Base)
	}
	var out []netip.Prefix
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil { // what Docker cannot read itself holds nothing
			out = append(out, p.Masked())
		}
	}
	return out, nil
}

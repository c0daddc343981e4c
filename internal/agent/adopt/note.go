//go:build linux

package adopt

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// note is what is remembered of a bridge that has an address of ours.
type note struct {
	told   netip.Prefix // what the program was told
	made   bool         // there was no file before
	chosen netip.Prefix // by the program, where its file said nothing
	former string       // the part that its file had
}

const notePrefix = "adopt-"

// path is where the note of a bridge is.
func path(k *host.Host, bridge string) string { return filepath.Join(k.Dir(), notePrefix+bridge) }

// pausedPath is there while a program that ran is without its bridge.
func pausedPath(k *host.Host, bridge string) string { return path(k, bridge) + ".paused" }

// readNote is the note of a bridge, nil if there is none.
func readNote(k *host.Host, bridge string) (*note, error) {
	text, err := sysfile.ReadIfThere(path(k, bridge))
	if text == "" || err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(text, "\n")
	words, former, _ := strings.Cut(rest, "\n")
	n := &note{former: former, made: strings.HasPrefix(words, "made")}
	n.told, _ = netip.ParsePrefix(first) // one that cannot be read is somebody else's address
	if _, chosen, found := strings.Cut(words, " "); found {
		n.chosen, _ = netip.ParsePrefix(chosen)
	}
	return n, nil
}

func (n *note) write(k *host.Host, bridge string) error {
	words := "there"
	if n.made {
		words = "made"
	}
	if n.chosen.IsValid() {
		words += " " + n.chosen.String()
	}
	return sysfile.Write(path(k, bridge), n.told.String()+"\n"+words+"\n"+n.former, 0o644, true)
}

// Noted are the bridges that have an address of the cluster's, or had one and wait for their own.
func Noted(k *host.Host) []string {
	files, _ := os.ReadDir(k.Dir()) // without it nothing was made
	var out []string
	for _, f := range files {
		if bridge, found := strings.CutPrefix(f.Name(), notePrefix); found && !strings.Contains(bridge, ".") {
			out = append(out, bridge)
		}
	}
	return out
}

// others is another cluster that has given a bridge its address, "" if none has.
func others(k *host.Host, bridge string) string {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(k.Dir()), "*", notePrefix+bridge)) // the pattern is well formed
	for _, f := range files {
		if cluster := filepath.Base(filepath.Dir(f)); cluster != filepath.Base(k.Dir()) {
			return cluster
		}
	}
	return ""
}

// none is the address of a bridge whose program chooses one.
var none = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// observe is what a bridge with a note has: what its file says, or what it has besides where its
// program runs and has not taken that up.
func (p *program) observe(told netip.Prefix, active func() bool) (spec.Addr, error) {
	text, err := p.text()
	is := p.address(text)
	if is == told {
		live := p.live()
		if len(live) > 0 && !slices.Contains(live, is) && active() {
			is = live[0]
		}
	}
	if !is.IsValid() {
		is = none
	}
	return spec.Addr{Link: p.bridge, Prefix: is}, err
}

//go:build linux

package nft

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// filterNote remembers, from one session to the next, that the packet filters were
// found to be what a spec asks for, and the kernel's count of transactions from
// before that look. While that count stands and the same is asked for by the same
// program, the rules are as they should be, and nobody needs to read them (a ninth
// of the work of a session that finds nothing to do).
type filterNote struct {
	server Server // whose program has this idea of the rules
	path   string // "": nothing is remembered
	sound  string // what to write, after a look that found all as it should be
}

const filterFile = "filters"

func newFilterNote(s Server) filterNote {
	if s.Program == "" {
		return filterNote{}
	}
	return filterNote{server: s, path: filepath.Join(s.Notes, filterFile)}
}

// text is what the note says about want, with uplinks, at a generation of the kernel's; "" where
// the kernel does not tell enough. The count is a network namespace's, which has a
// number of its own until the machine boots again.
func (n *filterNote) text(counter int, generation uint32, want *spec.Host, uplinks []string) string {
	if n.path == "" || generation == 0 {
		return ""
	}
	cookie, err := unix.GetsockoptUint64(counter, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil { // linux < 5.14
		return ""
	}
	boot, err := sysfile.Read("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	about, err := wire.Marshal(&spec.Host{
		Cluster: want.Cluster, Links: want.Links, Addrs: want.Addrs, DHCPs: want.DHCPs,
		Gateways: want.Gateways, Guards: want.Guards, Doors: want.Doors, NATs: want.NATs, Keeps: want.Keeps, Forwards: want.Forwards,
	})
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d %d %s\n%s\n%q\n", strings.TrimSpace(string(boot)), cookie, generation, n.server.Program, about, uplinks)
}

// says whether the note is there and says text.
func (n *filterNote) says(text string) bool {
	if text == "" {
		return false
	}
	have, err := sysfile.ReadIfThere(n.path)
	return err == nil && have == text
}

// Note writes down what the last Observe found to be sound. Where that fails, the next
// session reads the rules.
func (n *Filters) Note() {
	if n.note.sound != "" {
		_, _ = sysfile.WriteIfOther(n.note.path, n.note.sound, 0o600)
	}
	n.note.sound = ""
}

// filtersAgree says whether have's packet filters are want's, those in other
// people's iptables aside.
func filtersAgree(want, have *spec.Host) bool {
	return sameObjects(want.Gateways, have.Gateways) && sameObjects(want.Guards, have.Guards) && sameObjects(want.Doors, have.Doors) &&
		sameObjects(want.NATs, have.NATs) && sameObjects(want.Keeps, have.Keeps)
}

func sameObjects[T any](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return reflect.DeepEqual(x, y) })
}

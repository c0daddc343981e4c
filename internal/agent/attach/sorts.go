//go:build linux

package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// sort is one sort of container. Its file has all that differs from the others.
type sort struct {
	kind  string
	names func() ([]string, error)       // those that exist, running or not
	there func(name string) bool         // whether one exists
	open  func(name string) (int, error) // its network namespace; fs.ErrNotExist: it does not run, or has none of its own
	comes func(name string) bool         // whether it is on its way: its namespace is not ready yet
	// owner is the user whose container it is, who alone may do something in it; "" for root.
	// nil: all are root's.
	owner func(name string) string
	// dirs are the directories in which something appears when one comes of which is says that
	// it is meant, beside devices; nil where there is always a device.
	dirs func(is func(name string) bool) []string
	*keeper
	guests *libvirtd // nil: they have network namespaces
}

// keeper is for containers whose own configuration gives them their interfaces at each
// start; nil where a process of ours does, when it hears of the start.
type keeper struct {
	dir       func(container string) string                         // where it is kept
	kept      func(cluster string) ([]keptOne, error)               // all that is kept
	holds     func(cluster string, a spec.Attachment) (bool, error) // whether it is kept as it is
	hold      func(cluster string, a spec.Attachment) error
	drop      func(cluster string, a spec.Attachment) error
	former    func(a spec.Attachment) (former, error) // what the container has without it
	clash     func(a spec.Attachment) (string, error) // what is in its way, "" if nothing
	elsewhere func(container, iface string) bool      // it has another way out than iface
}

// keptOne is an interface in a container's configuration, as far as its mark says.
type keptOne struct {
	a     spec.Attachment
	given string
}

// former is what an interface was before flock moved it.
type former struct {
	bridge, mac string
	addrs       []netip.Prefix
	gateways    []netip.Addr
}

// sorts are all sorts of containers.
var sorts = []*sort{&netns, &lxc, &docker, &podman, &libvirt}

// sortOf is the one of a container, KIND/NAME, and its name.
func sortOf(container string) (*sort, string, error) {
	kind, name, _ := strings.Cut(container, "/")
	for _, s := range sorts {
		if s.kind == kind && name == filepath.Base(name) && name[0] != '.' {
			return s, name, nil
		}
	}
	return nil, "", fmt.Errorf("find %s: unknown kind of container", container)
}

// keeperOf is the keeper of a container, nil if it has none.
func keeperOf(container string) *keeper {
	s, _, err := sortOf(container)
	if err != nil {
		return nil
	}
	return s.keeper
}

// Names are the containers that exist, KIND/NAME, in order.
func Names() ([]string, error) {
	var out []string
	for _, s := range sorts {
		list, err := s.names()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list containers (%s): %w", s.kind, err)
		}
		for _, name := range list {
			out = append(out, s.kind+"/"+name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// ownerOf is the user whose container it is, "" for root.
func ownerOf(container string) string {
	s, name, err := sortOf(container)
	if err != nil || s.owner == nil {
		return ""
	}
	return s.owner(name)
}

// exists says whether there is a container, running or not.
func exists(container string) bool {
	s, name, err := sortOf(container)
	return err == nil && s.there(name)
}

func foreignInterface(a spec.Attachment) string {
	return a.Container + " has an interface " + a.Interface + " already, flock did not make it"
}

//go:build linux

package attach

import (
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Namespaces is where iproute2 keeps named network namespaces.
const Namespaces = "/run/netns"

var netns = sort{
	kind: spec.NetNS, names: netnsNames,
	there: netnsThere, open: netnsSpace, dirs: func(func(string) bool) []string { return []string{Namespaces} },
	comes: func(name string) bool { return netnsThere(name) && !isSpace(filepath.Join(Namespaces, name)) },
}

// uuidLen is how many characters a UUID has as text.
const uuidLen = 36

// netnsNames leaves out what Podman (netns-UUID) and CNI (cni-UUID) made for their containers.
func netnsNames() ([]string, error) {
	list, err := sysfile.Names(Namespaces)
	return spec.Without(list, func(name string) bool {
		kind, uuid, _ := strings.Cut(name, "-")
		return (kind == "netns" || kind == "cni") && len(uuid) == uuidLen && strings.Count(uuid, "-") == 4
	}), err
}

func netnsThere(name string) bool { return sysfile.Exists(filepath.Join(Namespaces, name)) }

// netnsSpace opens the namespace of that name: ip-netns(8) makes a file first, and then
// mounts the namespace on it.
func netnsSpace(name string) (int, error) {
	path := filepath.Join(Namespaces, name)
	if netnsThere(name) && !isSpace(path) {
		return -1, fs.ErrNotExist
	}
	return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func isSpace(path string) bool {
	var what unix.Statfs_t
	return unix.Statfs(path, &what) == nil && what.Type == unix.NSFS_MAGIC
}

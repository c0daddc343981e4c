//go:build linux

package wg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// TUNPath is the device file of TUN devices.
const TUNPath = "/dev/net/tun"

// Support is what a WireGuard device would be under the kernel of this release:
// spec.KernelDevice, spec.UserspaceDevice, or "" where there can be none. It loads no
// module: servers without such a network are asked too.
func Support(release string) (string, error) {
	if sysfile.Exists("/sys/module/wireguard") {
		return spec.KernelDevice, nil
	}
	if there, err := hasModule(filepath.Join("/lib/modules", release)); err != nil {
		return "", err
	} else if there {
		return spec.KernelDevice, nil
	}
	if sysfile.Exists(TUNPath) {
		return spec.UserspaceDevice, nil
	}
	return "", nil
}

// hasModule says whether a kernel's modules, in dir, have WireGuard. Where distributions put it
// is asked first: the list of all modules is half a megabyte (a seventh of the work of a
// session that finds nothing to do).
func hasModule(dir string) (bool, error) {
	for _, packed := range []string{"", ".xz", ".zst", ".gz"} {
		if sysfile.Exists(filepath.Join(dir, "kernel/drivers/net/wireguard/wireguard.ko"+packed)) {
			return true, nil
		}
	}
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("list kernel modules: %w", err)
		}
		if bytes.Contains(data, []byte("/wireguard.ko")) {
			return true, nil
		}
	}
	return false, nil
}

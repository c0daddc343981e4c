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
	dir := filepath.Join("/lib/modules", release)
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("list kernel modules: %w", err)
		}
		if bytes.Contains(data, []byte("/wireguard.ko")) {
			return spec.KernelDevice, nil
		}
	}
	if sysfile.Exists(TUNPath) {
		return spec.UserspaceDevice, nil
	}
	return "", nil
}

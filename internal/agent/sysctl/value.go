//go:build linux

package sysctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// root is what the keys of settings are below.
const root = "/proc/sys"

// Path is the file of a setting. A key that leads out of /proc/sys is an error.
func Path(key string) (string, error) {
	if !filepath.IsLocal(key) {
		return "", fmt.Errorf("setting %q is not below %s", key, root)
	}
	return filepath.Join(root, key), nil
}

// Read returns a setting; several numbers stand apart by one space.
// It returns fs.ErrNotExist, wrapped, where the kernel has no such setting.
func Read(key string) (string, error) {
	path, err := Path(key)
	if err != nil {
		return "", err
	}
	data, err := sysfile.Read(path)
	if err != nil {
		return "", fmt.Errorf("read setting: %w", err)
	}
	return strings.Join(strings.Fields(string(data)), " "), nil
}

// Write sets a setting. The error of the file is in what it returns.
func Write(key, value string) error {
	path, err := Path(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	return nil
}

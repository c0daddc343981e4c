//go:build linux

package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// BootSettings are what the next boot sets, by the files in dirs, the first directory
// having precedence.
func BootSettings(dirs []string) (map[string]Setting, error) {
	files, err := settingFiles(dirs)
	if err != nil {
		return nil, err
	}
	return bootSettings(files), nil
}

// settingFiles reads what systemd-sysctl and sysctl --system do: of files of one name that
// of the first directory, in the order of the names, /etc/sysctl.conf at last.
func settingFiles(dirs []string) ([]textFile, error) {
	chosen := map[string]string{}
	for _, dir := range dirs {
		found, err := sysfile.List(dir, "", ".conf")
		if err != nil {
			return nil, fmt.Errorf("list settings: %w", err)
		}
		for _, path := range found {
			if _, taken := chosen[filepath.Base(path)]; !taken && filepath.Base(path) != "sysctl.conf" {
				chosen[filepath.Base(path)] = path
			}
		}
	}
	var out []textFile
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		out = append(out, textFile{path: chosen[name]})
	}
	if len(dirs) > 0 {
		out = append(out, textFile{path: filepath.Join(filepath.Dir(dirs[0]), "sysctl.conf")})
	}
	for i := range out {
		text, err := sysfile.Read(out[i].path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		out[i].text = string(text)
	}
	return out, nil
}

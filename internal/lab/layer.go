package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocknet/flock/internal/hint"
)

// DefaultRoot is where `make root` prepares the root with other people's software:
// $FLOCK_ROOT, or flock-root in the user's cache directory.
func DefaultRoot() (string, error) {
	if dir := os.Getenv("FLOCK_ROOT"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the root of lab servers: %w", err)
	}
	return filepath.Join(cache, "flock-root"), nil
}

// layer is the lab's own copy of the root's layer. Overlayfs refuses a lower directory
// within another one, as the prepared root is within this machine's; and a root that is
// prepared anew meanwhile does not change under a lab.
func (l *Lab) layer() string { return l.path("layer") }

// lower is what is below the machines' own layers, as a mount option.
func (l *Lab) lower() string {
	if l.Root == "" {
		return "/"
	}
	return l.layer() + ":/"
}

// lowerFile is where a file of the machines' root is before they changed it.
func (l *Lab) lowerFile(path string) string {
	if file := l.layer() + path; l.Root != "" && exists(file) {
		return file
	}
	return path
}

// checkLayer refuses a root that was never prepared, or not to its end.
func (l *Lab) checkLayer() error {
	if l.Root == "" || exists(filepath.Join(l.Root, "packages")) {
		return nil
	}
	return hint.Errorf(l.Root, "make root FLOCK_ROOT="+l.Root, "build a lab on root %s: it is not prepared", l.Root)
}

// copyLayer copies the root's layer into the lab, while nobody prepares it anew.
func (l *Lab) copyLayer(ctx context.Context) error {
	if l.Root == "" {
		return nil
	}
	return run(ctx, "", "/usr/bin/flock", "--shared", filepath.Join(l.Root, "lock"),
		"cp", "-a", filepath.Join(l.Root, "upper"), l.layer())
}

// nspawnMore are further options for servers that run other people's software: Docker's
// containers ask for keyrings.
func (l *Lab) nspawnMore() string {
	if l.Root == "" {
		return ""
	}
	return " --system-call-filter='@keyring bpf'"
}

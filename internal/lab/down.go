package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Down removes everything that Up and later calls made: processes, namespaces,
// interfaces, control groups, the tmpfs and the directory. It works on a crashed lab and
// on one that Up did not finish.
func (l *Lab) Down(ctx context.Context) error {
	namespaces, err := l.namespaces()
	if err != nil {
		return err
	}
	records, err := l.records()
	if err != nil {
		return err
	}
	errs := []error{l.kill(ctx, records, namespaces)}
	for _, ns := range namespaces {
		errs = append(errs, deleteNS(ctx, ns))
	}
	errs = append(errs, l.detach(ctx), l.restoreLimits())
	errs = append(errs, each(l.machines(), func(m machine) error { return l.removeCgroups(ctx, m) }))
	if err := errors.Join(errs...); err != nil {
		return hint.With(fmt.Errorf("take lab %s down: %w", l.Dir, err), "", "flock lab down")
	}
	return l.removeDir(ctx)
}

// DownDir removes whatever is left of a lab in dir (empty: DefaultDir), even if it left
// no description of itself, and labs that were bound to a process that has ended: it
// returns the directories of those. If there are some, no lab in dir is no error;
// otherwise the error matches fs.ErrNotExist.
func DownDir(ctx context.Context, dir string) (swept []string, err error) {
	swept, err = Sweep(ctx)
	if err != nil {
		return swept, errors.Join(err, downDir(ctx, dir))
	}
	err = downDir(ctx, dir)
	if len(swept) > 0 && errors.Is(err, fs.ErrNotExist) {
		return swept, nil
	}
	return swept, err
}

func downDir(ctx context.Context, dir string) error {
	l, err := Open(dir)
	if err == nil {
		return l.Down(ctx)
	}
	l, lerr := newLab(Options{N: maxServers, Dir: dir})
	if lerr != nil {
		return lerr
	}
	left, nerr := l.namespaces()
	if nerr != nil {
		return nerr
	}
	if len(left) == 0 && !exists(l.Dir) {
		return err
	}
	return l.Down(ctx)
}

// namespaces are the names of all network namespaces with the lab's prefix.
func (l *Lab) namespaces() ([]string, error) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), l.Prefix+"-") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// records are the names start has recorded.
func (l *Lab) records() ([]string, error) {
	entries, err := os.ReadDir(l.path("pid"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the lab's processes: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func deleteNS(ctx context.Context, ns string) error {
	if !exists(nsFile(ns)) {
		return nil
	}
	return run(ctx, "", "ip", "netns", "del", ns)
}

// detach removes this machine's interface, if it is this lab's.
func (l *Lab) detach(ctx context.Context) error {
	dir, err := attachedTo(ctx)
	if err != nil || dir != l.Dir {
		return err
	}
	failed := run(ctx, "", "ip", "link", "del", attached)
	if dir, err = attachedTo(ctx); err != nil || dir != "" {
		return errors.Join(failed, err)
	}
	return nil // or it vanished with its peer's namespace meanwhile
}

// attachedTo returns the directory of the lab that is attached to this machine, "" if
// none is. It does not ask /sys, which may show another network namespace.
func attachedTo(ctx context.Context) (dir string, err error) {
	text, err := output(ctx, "", "ip", "-j", "link", "show")
	if err != nil {
		return "", err
	}
	var links []struct{ Ifname, Ifalias string }
	if err := json.Unmarshal(text, &links); err != nil {
		return "", fmt.Errorf("read this machine's links: %w", err)
	}
	for _, link := range links {
		if link.Ifname == attached {
			return strings.TrimPrefix(link.Ifalias, "flock-lab:"), nil
		}
	}
	return "", nil
}

func (l *Lab) removeDir(ctx context.Context) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	if strings.Contains(string(mounts), l.ns("lab")+" "+l.Dir+" tmpfs ") {
		// Lazily: a shell may stand in it.
		if err := run(ctx, "", "umount", "-l", l.Dir); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Clean(l.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove lab directory: %w", err)
	}
	return nil
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proc is a process and the moment when it started (clock ticks since boot), so that a
// reused process id is not mistaken for it.
type proc struct {
	pid   int
	start uint64
}

// start runs argv in its own session, with its output in log, and records it by name for
// later calls of Open.
func (l *Lab) start(name string, env []string, log string, argv ...string) (proc, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return proc{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return proc{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := proc{pid: cmd.Process.Pid, start: startTime(cmd.Process.Pid)}
	go func() { _ = cmd.Wait() }() // reaps it; its result is read from its log and what it made
	text := fmt.Sprintf("%d %d\n", p.pid, p.start)
	if err := os.MkdirAll(l.path("pid"), 0o755); err != nil {
		return p, fmt.Errorf("record %s: %w", name, err)
	}
	if err := os.WriteFile(l.path("pid", name), []byte(text), 0o600); err != nil {
		return p, fmt.Errorf("record %s: %w", name, err)
	}
	return p, nil
}

// recorded reads what start wrote for name.
func (l *Lab) recorded(name string) (proc, error) {
	text, err := os.ReadFile(l.path("pid", name))
	if err != nil {
		return proc{}, err
	}
	var p proc
	if _, err := fmt.Sscan(string(text), &p.pid, &p.start); err != nil {
		return proc{}, fmt.Errorf("read the record of process %s: %w", name, err)
	}
	return p, nil
}

// alive is false for a zombie too.
func (p proc) alive() bool { return p.start != 0 && startTime(p.pid) == p.start }

// startTime is 0 for a process that does not run.
func startTime(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in brackets may contain blanks and brackets.
	_, after, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	f := strings.Fields(after)
	if !ok || len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return 0
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// kill kills the recorded processes and everything in the given network namespaces, and
// returns when they are gone. The processes in namespaces are killed first: a supervisor
// ends by itself when its init is gone, and cleans up.
func (l *Lab) kill(ctx context.Context, records, namespaces []string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var ps []proc
	for _, name := range records {
		p, err := l.recorded(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			ps = append(ps, p)
		}
	}
	patience := time.Now().Add(3 * time.Second)
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		left := living(namespaces)
		inside := len(left) > 0
		for _, p := range ps {
			if p.alive() && (!inside || time.Now().After(patience)) {
				left = append(left, p.pid)
			}
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		return len(left) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for killed processes: %w", err)
	}
	for _, name := range records {
		if err := os.Remove(l.path("pid", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// living are the processes in the named network namespaces, this one aside.
func living(namespaces []string) []int {
	var files []os.FileInfo
	for _, ns := range namespaces {
		if info, err := os.Stat(nsFile(ns)); err == nil {
			files = append(files, info)
		}
	}
	if len(files) == 0 {
		return nil
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil // only a bad pattern fails
	}
	var pids []int
	for _, link := range links {
		info, err := os.Stat(link)
		if err != nil {
			continue // it went away, or is a zombie
		}
		for _, f := range files {
			if !os.SameFile(f, info) {
				continue
			}
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err == nil && pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// limit is a limit of the machine, not of a namespace, that labs need raised.
type limit struct {
	key   string // below /proc/sys
	want  int
	crowd bool // only a large lab does
}

// limits: 50 servers that all send to each other overflow the neighbour tables, of each
// family one for the whole machine, with their default of 1024; a systemd has about five
// inotify instances, every dnsmasq and every userspace WireGuard device one, of the 128 that
// root has by default (fs/notify/inotify/inotify_user.c).
func limits() []limit {
	list := []limit{{"fs/inotify/max_user_instances", 8192, false}}
	for _, family := range []string{"ipv4", "ipv6"} {
		thresh := "net/" + family + "/neigh/default/gc_thresh"
		list = append(list, limit{thresh + "1", 16384, true}, limit{thresh + "2", 32768, true}, limit{thresh + "3", 65536, true})
	}
	return list
}

// Borrow raises the machine's inotify instances for tests of this process that start
// daemons outside of a lab, until giveBack is called or the process has ended. Another
// user than root cannot, and borrows nothing.
func Borrow() (giveBack func() error, err error) {
	if os.Geteuid() != 0 {
		return func() error { return nil }, nil
	}
	name := fmt.Sprintf("process-%d", os.Getpid())
	if _, err := machineRegister().join(name, user{Owner: self()}, false); err != nil {
		return nil, err
	}
	return func() error { return machineRegister().leave(name) }, nil
}

// raiseLimits raises what is lower than the lab needs.
func (l *Lab) raiseLimits(log func(string)) error {
	raised, err := machineRegister().join(l.limitsUser(), user{Dir: l.Dir, Owner: self()}, l.N >= 25)
	if len(raised) > 0 {
		log("raised limits of this machine until no lab needs them: " + strings.Join(raised, ", "))
	}
	return err
}

func (l *Lab) restoreLimits() error { return machineRegister().leave(l.limitsUser()) }

// limitsUser depends on the directory alone, so that a crashed lab is found again.
func (l *Lab) limitsUser() string { return "lab-" + prefixOf(l.Dir) }

func self() Owner { return Owner{os.Getpid(), startTime(os.Getpid())} }

// raise sets the keys in need that nobody raised yet, and notes what they were. A key
// that this network namespace does not have is left out.
func (r *register) raise(were map[string]string, crowd bool) (need, raised []string, err error) {
	for _, limit := range limits() {
		if limit.crowd && !crowd {
			continue
		}
		old, err := r.read(limit.key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // only the machine's first network namespace has it
		}
		if err != nil {
			return need, raised, err
		}
		need = append(need, limit.key)
		if have, err := strconv.Atoi(old); err == nil && have >= limit.want {
			continue
		}
		if _, noted := were[limit.key]; !noted {
			were[limit.key] = old
			// The old value is noted first: after a kill it can still be restored.
			if err := r.note(were); err != nil {
				return need, raised, err
			}
		}
		if err := r.write(limit.key, strconv.Itoa(limit.want)); err != nil {
			return need, raised, err
		}
		raised = append(raised, strings.ReplaceAll(limit.key, "/", ".")) // as sysctl(8) has it
	}
	return need, raised, nil
}

// restore restores what no user needs any more, unless somebody else has set it
// meanwhile.
func (r *register) restore(were map[string]string, users map[string]user) error {
	var errs []error
	for _, limit := range limits() {
		old, raised := were[limit.key]
		if !raised || needed(users, limit.key) {
			continue
		}
		have, err := r.read(limit.key)
		if err == nil && have == strconv.Itoa(limit.want) {
			err = r.write(limit.key, old)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		delete(were, limit.key)
	}
	return errors.Join(errs...)
}

func needed(users map[string]user, key string) bool {
	for _, u := range users {
		if slices.Contains(u.Keys, key) {
			return true
		}
	}
	return false
}

func (r *register) read(key string) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.sysctls, key))
	if err != nil {
		return "", fmt.Errorf("read this machine's limits: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (r *register) write(key, value string) error {
	if err := os.WriteFile(filepath.Join(r.sysctls, key), []byte(value), 0); err != nil {
		return fmt.Errorf("raise or restore this machine's limits: %w", err)
	}
	return nil
}

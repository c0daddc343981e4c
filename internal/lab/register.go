package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// register lists who needs limits of this machine raised, one file each, and the values
// before (notes). It is read and written under the lock of its directory, which exists
// only while there are entries.
type register struct{ dir, sysctls string }

func machineRegister() *register { return &register{"/run/flock-limits", "/proc/sys"} }

const notes = "were"

// user is an entry: it counts as long as its lab exists or its process runs. The next
// caller removes that of a crashed one.
type user struct {
	Dir   string   `json:"dir,omitempty"` // of a lab
	Owner Owner    `json:"owner"`         // who made it
	Keys  []string `json:"keys"`          // below /proc/sys
}

func (u *user) alive() bool {
	return u.Dir != "" && exists(filepath.Join(u.Dir, metaFile)) || u.Owner.proc().alive()
}

// join adds u under name and returns the keys that were raised for it.
func (r *register) join(name string, u user, crowd bool) (raised []string, err error) {
	err = r.locked(func() error {
		users, were, err := r.load()
		if err != nil {
			return err
		}
		// First the user, then the limits: after a crash in between, nothing is raised
		// without a user.
		if err := r.save(name, u); err != nil {
			return err
		}
		if u.Keys, raised, err = r.raise(were, crowd); err != nil {
			return err
		}
		users[name] = u
		return errors.Join(r.save(name, u), r.finish(were, users))
	})
	return raised, err
}

// leave removes the user name; if it is not there, that is no error.
func (r *register) leave(name string) error {
	if !exists(r.dir) {
		return nil
	}
	return r.locked(func() error {
		users, were, err := r.load()
		if err != nil {
			return err
		}
		delete(users, name)
		return errors.Join(r.remove(name), r.finish(were, users))
	})
}

// finish restores what is not needed and removes the directory when nothing is in it.
func (r *register) finish(were map[string]string, users map[string]user) error {
	err := r.restore(were, users)
	if len(were) > 0 {
		return errors.Join(err, r.note(were))
	}
	if err = errors.Join(err, r.remove(notes)); err != nil || len(users) > 0 {
		return err
	}
	return os.Remove(r.dir)
}

// load reads all users, and drops those that are gone.
func (r *register) load() (users map[string]user, were map[string]string, err error) {
	users, were = map[string]user{}, map[string]string{}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read who needs limits: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil {
			return nil, nil, fmt.Errorf("read who needs limits: %w", err)
		}
		if e.Name() == notes {
			if err := json.Unmarshal(text, &were); err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", filepath.Join(r.dir, notes), err)
			}
			continue
		}
		var u user
		if json.Unmarshal(text, &u) == nil && u.alive() { // an incomplete one is of a crashed process
			users[e.Name()] = u
		} else if err := r.remove(e.Name()); err != nil {
			return nil, nil, err
		}
	}
	return users, were, nil
}

func (r *register) note(were map[string]string) error { return r.save(notes, were) }

// save replaces a file as a whole: a crash leaves the old or the new one.
func (r *register) save(name string, what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("note who needs limits: %w", err)
	}
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
		return fmt.Errorf("note who needs limits: %w", err)
	}
	return nil
}

func (r *register) remove(name string) error {
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget who needs limits: %w", err)
	}
	return nil
}

// locked runs f under the lock of the directory, which may be removed while somebody
// waits for it.
func (r *register) locked(f func() error) error {
	for {
		if err := os.Mkdir(r.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("note who needs limits: %w", err)
		}
		d, err := os.Open(r.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("note who needs limits: %w", err)
		}
		if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
			return errors.Join(fmt.Errorf("lock %s: %w", r.dir, err), d.Close())
		}
		mine, err := d.Stat()
		there, gone := os.Stat(r.dir)
		if err == nil && gone == nil && os.SameFile(mine, there) {
			return errors.Join(f(), d.Close()) // releases the lock
		}
		if err := errors.Join(err, d.Close()); err != nil {
			return fmt.Errorf("lock %s: %w", r.dir, err)
		}
	}
}

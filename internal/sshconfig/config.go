package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
)

// Config is the operator's ssh config. Regular lines are evaluated here. For the rest
// OpenSSH's own program is asked (ssh -G): only it knows what it makes of canonical
// names, quotes, rare tokens and rare criteria of Match.
type Config struct {
	path    string  // -F; empty: the user's and the system's
	home    string  // of the user, by the system's user database
	entries []entry // of all files
	odd     *oddity // the first line that flock cannot evaluate, for any host; nil: there is none
	asked   askedSSH
}

// homeDir is the home directory that ssh uses: that of the user database, not $HOME
// (which sudo -E keeps from another user). Without an entry there it is $HOME.
func homeDir() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// Read reads explicit alone or, if that is empty, the user's and the system's config as
// far as they exist. Errors wrap Err and carry advice.
func Read(explicit string) (*Config, error) {
	home, err := homeDir()
	if err != nil {
		return nil, fmt.Errorf("%w: find home directory: %w", Err, err)
	}
	c := &Config{path: explicit, home: home}
	user := filepath.Join(home, ".ssh")
	paths := [][2]string{{filepath.Join(user, "config"), user}, {"/etc/ssh/ssh_config", "/etc/ssh"}}
	if explicit != "" {
		paths = [][2]string{{explicit, user}}
	}
	for _, p := range paths {
		path, base := p[0], p[1]
		data, err := plainfile.Read(path, plainfile.MostConfig)
		if explicit == "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, hint.With(fmt.Errorf("%w: read: %w", Err, err), path, hint.Shell("ls", "-l", path))
		}
		if c.odd == nil {
			var entries []entry
			entries, c.odd = scanFile(path, data, home, base)
			c.entries = append(c.entries, entries...)
		}
	}
	return c, nil
}

// options is what the config says about d.
func (c *Config) options(ctx context.Context, d Destination) (options, error) {
	odd := c.odd
	if odd == nil {
		var out options
		limited, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		out, odd = read(c.entries, d, func(command string) (holds, sure bool) { return c.asked.holds(limited, command) })
		switch {
		case odd == nil:
			return out, nil
		case limited.Err() != nil && ctx.Err() == nil:
			return nil, fmt.Errorf("%w: %s: what Match exec runs does not end within %s", Err, odd.place(), askWithin)
		}
	}
	return c.ask(ctx, d, odd, "-o", askTokens)
}

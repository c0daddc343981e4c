//go:build linux

package bfd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// kept is what the next daemon needs to continue a session that is up.
type kept struct {
	Mine, Yours uint32
	Port        int // what packets come from
}

// load reads the sessions of the daemon before. A file that cannot be read has none:
// they begin anew.
func load(file string) (map[netip.Addr]kept, error) {
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return map[netip.Addr]kept{}, nil
	case err != nil:
		return nil, fmt.Errorf("read the BFD sessions of before: %w", err)
	}
	out := map[netip.Addr]kept{}
	if json.Unmarshal(data, &out) != nil {
		return map[netip.Addr]kept{}, nil
	}
	return out, nil
}

// save notes the sessions that are up.
func (w *Watcher) save() error {
	out := map[netip.Addr]kept{}
	for addr, s := range w.sessions {
		if at, ok := w.sockets[addr].LocalAddr().(*net.UDPAddr); ok && s.state == Up {
			out[addr] = kept{s.mine, s.yours, at.Port}
		}
	}
	data, err := json.Marshal(out)
	if err == nil {
		err = os.WriteFile(w.file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(w.file+".new", w.file)
	}
	if err != nil {
		return fmt.Errorf("note the BFD sessions: %w", err)
	}
	return nil
}

//go:build linux

package bgp

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// look reads a neighbour's first message before GoBGP does. Of an OPEN with a wrong AS
// GoBGP logs that it is wrong, but not which it is; a NOTIFICATION in place of an OPEN,
// by which some refuse ours (FRR, when its own OPEN still waits to be written), is to
// GoBGP an unexpected message like any other (v4.8.0, handleOpen).
func (j *journal) look(addr netip.Addr) {
	for _, b := range j.peek(addr) {
		refuses := j.readRefusal(addr, b)
		j.mu.Lock()
		h := j.heard[addr]
		h.noOpen = refuses
		if as := openAS(b); as != 0 {
			h.as = as
		}
		j.heard[addr] = h
		j.mu.Unlock()
	}
}

// lookForRefusal reads whether a neighbour answers our OPEN with a NOTIFICATION before
// GoBGP does: GoBGP does not log it (v4.8.0, openconfirm).
func (j *journal) lookForRefusal(addr netip.Addr) {
	for _, b := range j.peek(addr) {
		j.readRefusal(addr, b)
	}
}

// peek is what GoBGP is to read next from a neighbour's connections.
func (j *journal) peek(addr netip.Addr) [][]byte {
	select {
	case j.looks <- struct{}{}:
		defer func() { <-j.looks }()
	default: // each blocks a thread
		return nil
	}
	return unread(addr)
}

// readRefusal notes the NOTIFICATION at the start of b, and says whether there is one.
func (j *journal) readRefusal(addr netip.Addr, b []byte) bool {
	code, sub, ok := notified(b)
	if !ok {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.why, h.at = "it ended the session: "+explain(code, sub, "", false), time.Now()
	h.refused = code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
	j.heard[addr] = h
	return true
}

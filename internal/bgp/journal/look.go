//go:build linux

package journal

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// look reads a neighbour's first message before GoBGP does. Of an OPEN with a wrong AS
// GoBGP logs that it is wrong, but not which it is; a NOTIFICATION in place of an OPEN,
// by which some refuse ours (FRR, when its own OPEN still waits to be written), is to
// GoBGP an unexpected message like any other (v4.8.0, handleOpen).
func (j *Journal) look(addr netip.Addr) {
	for _, b := range j.peek(addr) {
		refuses := j.readRefusal(addr, b)
		j.mu.Lock()
		h := j.heard[addr]
		h.noOpen = refuses
		if as := openAS(b); as != 0 {
			h.AS = as
		}
		j.heard[addr] = h
		j.mu.Unlock()
	}
}

// lookForRefusal reads whether a neighbour answers our OPEN with a NOTIFICATION before
// GoBGP does: GoBGP does not log it (v4.8.0, openconfirm).
func (j *Journal) lookForRefusal(addr netip.Addr) {
	for _, b := range j.peek(addr) {
		j.readRefusal(addr, b)
	}
}

// peek is what GoBGP is to read next from a neighbour's connections.
func (j *Journal) peek(addr netip.Addr) [][]byte {
	select {
	case j.looks <- struct{}{}:
		defer func() { <-j.looks }()
	default: // each blocks a thread
		return nil
	}
	return j.unread(addr)
}

// readRefusal notes the NOTIFICATION at the start of b, and says whether there is one.
func (j *Journal) readRefusal(addr netip.Addr, b []byte) bool {
	code, sub, ok := notified(b)
	if !ok {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.Why, h.at = "it ended the session: "+Explain(code, sub, "", false), time.Now()
	h.Refused = code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
	j.heard[addr] = h
	return true
}

// notified reads the NOTIFICATION at the start of b.
func notified(b []byte) (code, sub uint8, ok bool) {
	h := &bgp.BGPHeader{}
	const least = bgp.BGP_HEADER_LENGTH + 2
	if h.DecodeFromBytes(b) != nil || h.Type != bgp.BGP_MSG_NOTIFICATION || h.Len < least || len(b) < least {
		return 0, 0, false
	}
	return b[least-2], b[least-1], true
}

// openAS is the AS of the OPEN at the start of b; 0 if there is none.
func openAS(b []byte) uint32 {
	h := &bgp.BGPHeader{}
	if h.DecodeFromBytes(b) != nil || h.Type != bgp.BGP_MSG_OPEN || int(h.Len) > len(b) {
		return 0
	}
	m, err := bgp.ParseBGPBody(h, b[bgp.BGP_HEADER_LENGTH:h.Len])
	if err != nil {
		return 0
	}
	open, ok := m.Body.(*bgp.BGPOpen)
	if !ok {
		return 0
	}
	as := uint32(open.MyAS)
	for _, p := range open.OptParams {
		caps, ok := p.(*bgp.OptionParameterCapability)
		if !ok {
			continue
		}
		for _, c := range caps.Capability {
			if c, ok := c.(*bgp.CapFourOctetASNumber); ok {
				as = c.CapValue
			}
		}
	}
	return as
}

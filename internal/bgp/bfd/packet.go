package bfd

import (
	"encoding/binary"
	"errors"
	"time"
)

// Port is the UDP port of single-hop BFD (RFC 5881, 4).
const Port = 3784

// State is what one side of a BFD session thinks of it (RFC 5880, 4.1).
type State byte

// The states, by their numbers in packets.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

func (s State) String() string {
	return [...]string{"switched off", "down", "init", "up"}[s&3]
}

// Diagnostics (RFC 5880, 4.1): why a session went down.
const (
	diagNone     = 0
	diagExpired  = 1
	diagSignaled = 3
	diagAdmin    = 7
)

// packet is a BFD control packet.
type packet struct {
	state       State
	diag        byte
	poll, final bool
	alone       bool // its BFD goes on while its control plane does not (C)
	mult        byte
	mine, yours uint32        // discriminators; yours 0: unknown
	tx, rx      time.Duration // DesiredMinTx, RequiredMinRx; in packets whole microseconds
}

const packetLen = 24

// Bits of a packet's second byte.
const (
	bitPoll, bitFinal, bitAlone, bitAuth, bitDemand, bitMulti = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
)

func (p packet) encode() []byte {
	b := make([]byte, packetLen)
	b[0] = 1<<5 | p.diag
	b[1] = byte(p.state) << 6
	for bit, on := range map[byte]bool{bitPoll: p.poll, bitFinal: p.final, bitAlone: p.alone} {
		if on {
			b[1] |= bit
		}
	}
	b[2], b[3] = p.mult, packetLen
	binary.BigEndian.PutUint32(b[4:], p.mine)
	binary.BigEndian.PutUint32(b[8:], p.yours)
	binary.BigEndian.PutUint32(b[12:], uint32(p.tx.Microseconds())) //nolint:gosec // below an hour
	binary.BigEndian.PutUint32(b[16:], uint32(p.rx.Microseconds())) //nolint:gosec // below an hour
	return b
}

// decode reads a packet, and refuses what RFC 5880, 6.8.6 has discarded.
func decode(b []byte) (packet, error) {
	if len(b) < packetLen || b[0]>>5 != 1 || int(b[3]) < packetLen || int(b[3]) > len(b) {
		return packet{}, errors.New("no BFD packet of version 1")
	}
	micros := func(at int) time.Duration {
		return time.Duration(binary.BigEndian.Uint32(b[at:])) * time.Microsecond
	}
	p := packet{
		state: State(b[1] >> 6), diag: b[0] & 0x1f, poll: b[1]&bitPoll != 0, final: b[1]&bitFinal != 0, alone: b[1]&bitAlone != 0,
		mult: b[2], mine: binary.BigEndian.Uint32(b[4:]), yours: binary.BigEndian.Uint32(b[8:]), tx: micros(12), rx: micros(16),
	}
	switch {
	case b[1]&(bitAuth|bitDemand|bitMulti) != 0:
		return packet{}, errors.New("authentication, demand mode and multipoint are not known here")
	case p.mult == 0 || p.mine == 0 || p.poll && p.final:
		return packet{}, errors.New("a packet that contradicts itself")
	case p.yours == 0 && p.state > Down:
		return packet{}, errors.New("a packet of no session")
	}
	return p, nil
}

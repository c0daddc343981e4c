package option

import (
	"math"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Numbers of autonomous systems with a meaning of their own.
const (
	DefaultAS = 64512 // the first private one (RFC 6996)
	transAS   = 23456 // stands for numbers of four bytes (RFC 6793)
	last16AS  = 65535 // RFC 7300
)

// DefaultBFD is how many milliseconds BFD packets are apart where nobody says otherwise:
// a silent neighbour is left in less than a second.
const DefaultBFD = 300

// ParseBFD reads a number of milliseconds, 0 for none, or true and false.
func ParseBFD(text string) (int64, error) {
	if on, err := strconv.ParseBool(text); err == nil && len(text) > 1 {
		text = "0"
		if on {
			text = strconv.Itoa(DefaultBFD)
		}
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, hint.Errorf("", "--bfd, or --bfd=MS with a number of milliseconds", "%q is no number of milliseconds", text)
	}
	return ms, CheckBFD(ms)
}

// DefaultHold is how long in seconds a neighbour may be silent where nobody says
// otherwise (RFC 4271, section 10).
const DefaultHold = 90

// ParseAS reads the number of an autonomous system, plain or in asdot notation
// (RFC 5396), and refuses those that no speaker may have.
func ParseAS(text string) (uint32, error) {
	const next = "a number from 1 to 4294967294, for example a private one, 64512 to 65534 or 4200000000 to 4294967294"
	high, low, dotted := strings.Cut(text, ".")
	if !dotted {
		high, low = "0", text
	}
	bits := 16
	if !dotted {
		bits = 32
	}
	h, err1 := strconv.ParseUint(high, 10, 16)
	l, err2 := strconv.ParseUint(low, 10, bits)
	if err1 != nil || err2 != nil {
		return 0, hint.Errorf("", next, "%q is not the number of an autonomous system", text)
	}
	as := uint32(h<<16 | l)
	return as, CheckAS(as)
}

func parseAS(text string) (int64, error) {
	as, err := ParseAS(text)
	return int64(as), err
}

// CheckAS refuses numbers of autonomous systems that no speaker may have.
func CheckAS(as uint32) error {
	switch as {
	case 0, transAS, last16AS, math.MaxUint32:
		return hint.Errorf("", "a number from 1 to 4294967294, for example a private one, 64512 to 65534 or 4200000000 to 4294967294",
			"AS %d is reserved", as)
	}
	return nil
}

// FormatAS writes an AS number as people do.
func FormatAS(as uint32) string { return strconv.FormatUint(uint64(as), 10) }

package wire

import (
	"errors"
	"fmt"
)

// ErrBounds means that a message is larger than any sensible one: nested too deep, with
// too many elements, too long a text, or more memory than its bytes justify.
var ErrBounds = errors.New("out of bounds")

// Bounds of one message, besides MaxFrame. Its sender may be an attacker who controls a
// server. Together with the value that Receive fills, a message takes less than four
// times its bytes in memory.
const (
	maxDepth    = 32       // nested lists and objects; ours have ten
	maxElements = 2 << 20  // of all lists and tables together; 10,000 servers have some 100,000
	maxText     = 16 << 20 // bytes of one string, as it is sent: a /16's leases are 7 MB
	maxValue    = 256      // bytes of other values in text form: addresses, times
	maxDigits   = 20       // of a number
	least       = 64 << 10 // bytes that any message may take
)

// bounds are what remains of these limits while a message is read.
type bounds struct {
	depth    int
	elements int
	room     uintptr // bytes
}

// boundsFor are those of a message of size bytes. An address of 13 bytes takes 32 in
// memory; most of what is sent takes no more than its text.
func boundsFor(size int) bounds {
	return bounds{elements: maxElements, room: least + uintptr(size)/2*5}
}

// charge subtracts bytes from what the message may use.
func (b *bounds) charge(bytes uintptr) error {
	if bytes > b.room {
		return fmt.Errorf("%w: hardly anything in very many elements", ErrBounds)
	}
	b.room -= bytes
	return nil
}

// chargeAll subtracts n elements of size bytes each.
func (b *bounds) chargeAll(n int, size uintptr) error {
	if n > b.elements {
		return fmt.Errorf("%w: more than %d elements", ErrBounds, maxElements)
	}
	b.elements -= n
	return b.charge(uintptr(n) * size)
}

func (b *bounds) enter() error {
	if b.depth++; b.depth > maxDepth {
		return fmt.Errorf("%w: more than %d lists and objects within each other", ErrBounds, maxDepth)
	}
	return nil
}

func (b *bounds) leave() { b.depth-- }

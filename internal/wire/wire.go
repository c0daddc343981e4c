// Package wire frames what the workstation and the agent say to each other on a
// pair of byte streams: a magic line that login banners and noisy shell profiles
// cannot imitate, then length-prefixed JSON, for which it has a reader and a writer of
// its own. It owns the format, its limits and the detection of silent peers. It does
// not know what the messages mean, what transports them or how long they may take.
package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// MaxFrame is the largest frame in bytes that is read or written: a spec of
	// some ten thousand forwarding entries fits many times over.
	MaxFrame = 64 << 20
	// minBody is the size in bytes up to which a frame's memory is allocated at once.
	minBody = 64 << 10
	// maxNoise is how many bytes are searched for the magic line.
	maxNoise = 1 << 20
)

// magic starts the agent's side of a session: no text contains NUL and 0xFF.
var magic = []byte("\x00\xff\x00flock/1 ")

var (
	// ErrNoAgent means that the stream ended, or that maxNoise bytes passed, without the
	// magic line: the other side is no agent.
	ErrNoAgent = errors.New("no agent answered")
	// ErrFrame means that a frame's length or content is not one of ours.
	ErrFrame = errors.New("malformed frame")
)

// Greet writes the magic line with the agent's version.
func Greet(w io.Writer, version string) error {
	_, err := w.Write(append(append(bytes.Clone(magic), version...), '\n'))
	return err
}

// AwaitGreeting reads up to the magic line and returns the version in it. What came
// before (banners, output of shell profiles) is returned as noise, cut to its last 4096
// bytes. Errors wrap ErrNoAgent if there is no magic line.
func AwaitGreeting(r *bufio.Reader) (version string, noise []byte, err error) {
	match := 0
	for n := 0; n < maxNoise; n++ {
		c, err := r.ReadByte()
		if err != nil {
			return "", tail(noise), fmt.Errorf("%w: %w", ErrNoAgent, err)
		}
		noise = append(noise, c)
		match = advance(match, c)
		if match == len(magic) {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return "", tail(noise), fmt.Errorf("%w: %w", ErrNoAgent, err)
			}
			return string(line[:len(line)-1]), tail(noise[:len(noise)-len(magic)]), nil
		}
	}
	return "", tail(noise), ErrNoAgent
}

// advance is one step of the search for magic: how many of its bytes match after c.
func advance(match int, c byte) int {
	for {
		if magic[match] == c {
			return match + 1
		}
		if match == 0 {
			return 0
		}
		// The longest start of magic that the matched bytes end with; magic is short.
		next := match - 1
		for next > 0 && !bytes.Equal(magic[:next], magic[match-next:match]) {
			next--
		}
		match = next
	}
}

func tail(b []byte) []byte { return b[max(0, len(b)-4096):] }

// Conn sends and receives frames. Send may be called from several goroutines;
// Receive from one at a time.
type Conn struct {
	r *bufio.Reader

	mu sync.Mutex // guards below
	w  io.Writer
}

// NewConn returns a Conn on r and w. A *bufio.Reader is used as it is, so that
// nothing buffered by AwaitGreeting is lost.
func NewConn(r io.Reader, w io.Writer) *Conn {
	br, ok := r.(*bufio.Reader)
	if !ok {
		br = bufio.NewReader(r)
	}
	return &Conn{r: br, w: w}
}

// Send writes msg as one frame, in one Write.
func (c *Conn) Send(msg any) error {
	body, err := Marshal(msg)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("%w: %d bytes to send", ErrFrame, len(body))
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	frame = append(frame, body...)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.w.Write(frame)
	return err
}

// Receive reads one frame into msg. Its errors are those of Next and Read.
func (c *Conn) Receive(msg any) error {
	body, err := c.Next()
	if err != nil {
		return err
	}
	return Read(body, msg)
}

// Next reads one frame and returns the JSON in it. io.EOF means that the stream ended between
// frames; io.ErrUnexpectedEOF, inside one. Errors wrap ErrFrame if the bytes are no frame; the
// stream cannot be used any more then.
func (c *Conn) Next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxFrame {
		return nil, fmt.Errorf("%w: length %d", ErrFrame, size)
	}
	body, err := readBody(c.r, int(size))
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return body, err
}

// Read is Unmarshal of what Next returned. Its error wraps ErrFrame.
func Read(body []byte, msg any) error {
	if err := Unmarshal(body, msg); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}

// readBody reads size bytes. Its memory grows as they arrive, so that a wrong length
// costs a sixtieth of it; the steps are so large that at most a third is wasted.
func readBody(r io.Reader, size int) ([]byte, error) {
	var body []byte
	read := 0
	for _, part := range []int{64, 16, 4, 1} {
		if more := size / part; more > minBody || part == 1 {
			body = append(make([]byte, 0, more), body...)[:more]
			n, err := io.ReadFull(r, body[read:])
			if read += n; err != nil {
				return nil, err
			}
		}
	}
	return body, nil
}

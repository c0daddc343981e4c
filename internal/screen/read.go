package screen

import (
	"bufio"
	"context"
	"io"
)

// untilDone waits for read, or for an interrupt: a read of a terminal cannot be
// cancelled. It stays blocked then, until the program ends.
func untilDone[T any](done <-chan struct{}, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	answered := make(chan result, 1)
	go func() {
		value, err := read()
		answered <- result{value, err}
	}()
	select {
	case r := <-answered:
		return r.value, r.err
	case <-done:
		var none T
		return none, context.Canceled
	}
}

// readLine reads up to a line feed and nothing after it, which belongs to the next
// question.
func readLine(r io.Reader) (string, error) {
	if b, ok := r.(io.ByteReader); ok {
		return readBytes(b)
	}
	return readBytes(bufio.NewReaderSize(oneByte{r}, 16))
}

func readBytes(r io.ByteReader) (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if err != nil || c == '\n' {
			return string(line), err
		}
		line = append(line, c)
	}
}

// oneByte reads one byte at a time, so that a buffer above it does not read ahead.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(1, len(b))]) }

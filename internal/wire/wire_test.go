package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestGreetingAfterNoise(t *testing.T) {
	for _, noise := range []string{"", "Welcome!\n", "\x00\xff", "\x00\xff\x00\xff\x00floc", strings.Repeat("x", 9000)} {
		var b bytes.Buffer
		b.WriteString(noise)
		if err := Greet(&b, "v1-abc"); err != nil {
			t.Fatal(err)
		}
		b.WriteString("rest")
		r := bufio.NewReader(&b)
		version, got, err := AwaitGreeting(r)
		if err != nil || version != "v1-abc" {
			t.Fatalf("noise %q: version %q, %v", noise, version, err)
		}
		if want := noise[max(0, len(noise)-4096):]; string(got) != want {
			t.Fatalf("noise = %q, want %q", got, want)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "rest" {
			t.Fatalf("rest = %q", rest)
		}
	}
}

func TestNoGreeting(t *testing.T) {
	_, noise, err := AwaitGreeting(bufio.NewReader(strings.NewReader("sh: flock: not found\n")))
	if !errors.Is(err, ErrNoAgent) || string(noise) != "sh: flock: not found\n" {
		t.Fatalf("err %v, noise %q", err, noise)
	}
}

func TestFramesComeBack(t *testing.T) {
	var b bytes.Buffer
	c := NewConn(&b, &b)
	for _, s := range []string{"", "x", strings.Repeat("long", 100000)} {
		if err := c.Send(s); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := c.Receive(&got); err != nil || got != s {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if err := c.Receive(new(string)); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestCutAndLyingFrames(t *testing.T) {
	cut := append(binary.BigEndian.AppendUint32(nil, 100), "short"...)
	if err := NewConn(bytes.NewReader(cut), nil).Receive(new(any)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("cut frame: %v", err)
	}
	lie := binary.BigEndian.AppendUint32(nil, 1<<31)
	if err := NewConn(bytes.NewReader(lie), nil).Receive(new(any)); !errors.Is(err, ErrFrame) {
		t.Fatalf("lying length: %v", err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewConn(bytes.NewReader(data), io.Discard)
		for {
			var msg any
			if err := c.Receive(&msg); err != nil {
				return
			}
			var b bytes.Buffer
			if err := NewConn(nil, &b).Send(msg); err != nil {
				t.Fatalf("what was received cannot be sent: %v", err)
			}
		}
	})
}

func FuzzAwaitGreeting(f *testing.F) {
	f.Add([]byte("\x00\xff\x00\xff\x00flock/1 "))
	f.Fuzz(func(t *testing.T, noise []byte) {
		if bytes.Contains(noise, magic) {
			return
		}
		var b bytes.Buffer
		b.Write(noise)
		_ = Greet(&b, "v")
		if v, _, err := AwaitGreeting(bufio.NewReader(&b)); err != nil || v != "v" {
			t.Fatalf("noise %q hides the greeting: %q, %v", noise, v, err)
		}
	})
}

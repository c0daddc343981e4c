package screen

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns both ends of a new pseudo terminal.
func openPTY(t *testing.T) (typist, terminal *os.File) {
	t.Helper()
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = typist.Close() })
	if err := unix.IoctlSetPointerInt(int(typist.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(typist.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return typist, terminal
}

// TestTypedAheadAnswersNothing: lines that wait on the terminal before a question is
// on the screen are no answers to it.
func TestTypedAheadAnswersNothing(t *testing.T) {
	typist, terminal := openPTY(t)
	l := NewLines(Terminal(terminal, terminal, terminal), true, false)
	defer l.Stop()
	// The terminal echoes what is typed: when the echo is there, the lines wait.
	read := bufio.NewReader(typist)
	if _, err := typist.WriteString("y\ny\n"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if line, err := read.ReadString('\n'); err != nil || strings.TrimSpace(line) != "y" {
			t.Fatalf("echo %q, %v", line, err)
		}
	}
	answered := make(chan bool, 1)
	go func() {
		yes, err := l.Ask(nil, "remove vx1?")
		if err != nil {
			t.Error(err)
		}
		answered <- yes
	}()
	if shown, err := read.ReadString(']'); err != nil || !strings.Contains(shown, "remove vx1? [y/N]") {
		t.Fatalf("shown %q, %v", shown, err)
	}
	if _, err := typist.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	if <-answered {
		t.Error("what was typed ahead was taken for the answer")
	}
}

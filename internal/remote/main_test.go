package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// TestMain lets the test binary be the agent that the tests install and start, and
// a proxy command.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "proxy" {
		os.Exit(proxy(os.Args[2], os.Args[3]))
	}
	if len(os.Args) > 2 && os.Args[1] == "agent" && os.Args[2] == "serve" {
		os.Exit(serveAsAgent(os.Args[3:]))
	}
	os.Exit(m.Run())
}

// proxy joins its streams to a TCP connection.
func proxy(host, port string) int {
	conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go io.Copy(conn, os.Stdin)
	io.Copy(os.Stdout, conn)
	return 0
}

// Requests that only the agent of these tests knows.
const (
	opDie  = "die"  // complain and exit 3
	opHang = "hang" // answer nothing until the input ends

	opStop    = "stop"    // be stopped, as by SIGSTOP
	opTrickle = "trickle" // answer one byte at a time, for ever
	opEndless = "endless" // tell of progress for ever
	opDeaf    = "deaf"    // read nothing any more
	opSlow    = "slow"    // work for twice missedBeats and show it, then answer
	opPID     = "pid"     // answer by which number the process goes
	opHeard   = "heard"   // answer how many signs of life came so far
)

// testBeat is how often sessions of tests that wait for beats show signs of life.
const testBeat = 100 * time.Millisecond

// every calls do until it fails: nobody is there any more.
func every(pause time.Duration, do func() error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for do() == nil {
		<-tick.C
	}
}

// serveAsAgent greets with the version in args, or its own, and answers.
func serveAsAgent(args []string) int {
	path, err := os.Executable()
	version := filepath.Base(filepath.Dir(path))
	if len(args) > 0 {
		version = args[0]
	}
	first, greeting := wire.Unpack(os.Getenv(wire.FirstEnv)), version
	if first != nil {
		greeting += wire.Took
	}
	if err := errors.Join(err, wire.Greet(os.Stdout, greeting)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c := wire.NewConn(os.Stdin, os.Stdout)
	heard := 0
	for asked := 1; ; asked++ {
		var req spec.Request
		if first != nil {
			err, first = wire.Unmarshal(first, &req), nil
		} else {
			err = c.Receive(&req)
		}
		if err != nil {
			return 0
		}
		switch req.Op {
		case spec.OpAlive:
			heard++
			continue
		case opStop:
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			<-time.After(time.Hour) // another thread may be the first that stops
		case opTrickle:
			_, _ = os.Stdout.Write([]byte{0, 255, 0, 0})
			every(testBeat/3, func() error { _, err := os.Stdout.WriteString(" "); return err })
			return 0
		case opEndless:
			every(testBeat/3, func() error { return c.Send(spec.Reply{Progress: "and on"}) })
			return 0
		case opDeaf:
			every(testBeat, func() error { return c.Send(spec.Reply{}) })
			return 0
		case opSlow:
			left := 2 * missedBeats
			every(testBeat, func() error {
				if left--; left == 0 {
					return io.EOF
				}
				return c.Send(spec.Reply{})
			})
		case opHeard:
			if c.Send(spec.Reply{Done: true, Keys: map[string]string{opHeard: strconv.Itoa(heard)}}) != nil {
				return 1
			}
			continue
		case opPID:
			if c.Send(spec.Reply{Done: true, Keys: map[string]string{opPID: strconv.Itoa(os.Getpid())}}) != nil {
				return 1
			}
			continue
		case opDie:
			fmt.Fprintln(os.Stderr, "out of luck")
			return 3
		case opHang:
			_, _ = io.Copy(io.Discard, os.Stdin)
			return 0
		}
		err := errors.Join(
			c.Send(spec.Reply{Progress: "looking"}),
			c.Send(spec.Reply{Done: true, Facts: &spec.Facts{Agent: version, Hostname: os.Getenv("FLOCK_TEST_SERVER"), Kernel: fmt.Sprintf("request %d: %s", asked, req.Holder)}}),
		)
		if err != nil {
			return 1
		}
	}
}

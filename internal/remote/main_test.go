package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

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
)

// serveAsAgent greets with the version in args, or its own, and answers.
func serveAsAgent(args []string) int {
	path, err := os.Executable()
	version := filepath.Base(filepath.Dir(path))
	if len(args) > 0 {
		version = args[0]
	}
	if err := errors.Join(err, wire.Greet(os.Stdout, version)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c := wire.NewConn(os.Stdin, os.Stdout)
	for {
		var req spec.Request
		if err := c.Receive(&req); err != nil {
			return 0
		}
		switch req.Op {
		case opDie:
			fmt.Fprintln(os.Stderr, "out of luck")
			return 3
		case opHang:
			_, _ = io.Copy(io.Discard, os.Stdin)
			return 0
		}
		err := errors.Join(
			c.Send(spec.Reply{Progress: "looking"}),
			c.Send(spec.Reply{Done: true, Facts: &spec.Facts{Agent: version, Hostname: os.Getenv("FLOCK_TEST_SERVER")}}),
		)
		if err != nil {
			return 1
		}
	}
}

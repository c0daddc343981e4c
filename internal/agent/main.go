package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Exit statuses of Main; they are those of the command line.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Command is one of the agent's commands. It runs until it is done or ctx ends;
// arg is its one argument.
type Command func(ctx context.Context, arg string, log io.Writer) error

// Program is the whole of a program that servers get: it runs the command on the
// process's own command line, with or without "agent" before it, and returns the exit
// status. more is Main's.
func Program(more map[string]Command) int {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "agent" {
		args = args[1:]
	}
	return Main(args, os.Stdin, os.Stdout, os.Stderr, more)
}

// Main runs the command that args name, the words after
// "agent", and returns the exit status. serve answers one workstation on in and
// out, boot re-applies the last specs, with --early what containers and guests start on, with
// --rules packet filters alone, wireguard DEVICE, udp DEVICE, resolve CLUSTER, attach CLUSTER
// and names CLUSTER/NETWORK run on,
// try KINDS is the agent's own trial of kinds of devices.
// More are commands of one argument that only some builds of the program have, by
// name. What goes wrong is written to log. SIGINT and SIGTERM end the work in good
// order, a second one the process.
func Main(args []string, in io.Reader, out, log io.Writer, more map[string]Command) int {
	err := run(args, in, out, log, more)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	fmt.Fprint(log, hint.Text("flock", err))
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

func run(args []string, in io.Reader, out, log io.Writer, more map[string]Command) error {
	if slices.Equal(args, []string{"serve"}) {
		return serve(in, out) // which looks after signals when it has something to lose
	}
	if len(args) == 2 && args[0] == "undo" {
		return Undo(context.Background(), args[1], in, log) // which signals to the agent's session must not end
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	switch {
	case slices.Equal(args, []string{"boot"}):
		return Boot(ctx, log)
	case slices.Equal(args, []string{"boot", "--early"}):
		return Early(ctx, log)
	case slices.Equal(args, []string{"boot", "--rules"}):
		return Rules(ctx, log)
	case len(args) != 2:
		return unknown(args, more)
	case args[0] == "wireguard":
		return wireGuard(ctx, args[1], log)
	case args[0] == "udp":
		return udp(ctx, args[1], log)
	case args[0] == "try":
		return try(args[1], out)
	case args[0] == "resolve":
		return resolve(ctx, args[1], log)
	case args[0] == "attach":
		return attach.Run(ctx, args[1], log)
	case args[0] == "names":
		return Names(ctx, args[1], log)
	case more[args[0]] != nil:
		return more[args[0]](ctx, args[1], log)
	}
	return unknown(args, more)
}

var errUsage = errors.New("unknown agent command")

func unknown(args []string, more map[string]Command) error {
	all := append([]string{"serve", "boot [--early|--rules]", "undo CLUSTER", "wireguard DEVICE", "udp DEVICE", "resolve CLUSTER", "attach CLUSTER", "names CLUSTER/NETWORK"}, slices.Sorted(maps.Keys(more))...)
	return hint.With(fmt.Errorf("%w %q", errUsage, strings.Join(args, " ")), "", "flock agent "+strings.Join(all, " | "))
}

func serve(in io.Reader, out io.Writer) error {
	// One thing after the other: more threads would only wake each other up (a tenth
	// of an agent's processor time). The workstation asks for that from the start, but
	// not on behalf of what we start.
	runtime.GOMAXPROCS(1)
	first := wire.Unpack(os.Getenv(wire.FirstEnv))
	if err := errors.Join(os.Unsetenv("GOMAXPROCS"), os.Unsetenv(wire.FirstEnv)); err != nil {
		return fmt.Errorf("set up the environment: %w", err)
	}
	v, err := version()
	if err != nil {
		return err
	}
	return Serve(context.Background(), polled(in), out, v, first)
}

// polled is standard input as Go's poller reads it: a thread that waits for the
// next request in a system call of its own would have to be made, and woken.
func polled(in io.Reader) io.Reader {
	if in != os.Stdin || unix.SetNonblock(unix.Stdin, true) != nil {
		return in
	}
	return os.NewFile(uintptr(unix.Stdin), os.Stdin.Name())
}

// version is what the workstation called this program when it installed it; any
// other copy goes by the start of its SHA-256.
func version() (string, error) {
	if v := installedAs(); v != "" {
		return v, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:spec.VersionLength], nil
}

// installedAs is the version of a program that the workstation installed, "" of any
// other copy: by the path it was called by, as the workstation and units do, which
// asks nobody.
func installedAs() string {
	if dir := filepath.Dir(os.Args[0]); slices.Contains(spec.Places, filepath.Dir(dir)) {
		return filepath.Base(dir)
	}
	return ""
}

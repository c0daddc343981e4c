// Command flock keeps networks between Linux servers. It owns the process: its
// streams, signals and exit status. Everything else is package cli's.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/screen"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		return asAgent(os.Args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in good order, a second one the process.
	context.AfterFunc(ctx, stop)
	spareGC()
	streams := screen.Terminal(os.Stdin, os.Stdout, os.Stderr)
	streams.Name = filepath.Base(os.Args[0])
	return cli.Main(ctx, os.Args[1:], streams, os.Getenv)
}

// spareGC puts the first collection of garbage off to 64 MB: most commands end
// before. Those after it come as always.
func spareGC() {
	percent := debug.SetGCPercent(1600) // of Go's smallest heap, 4 MB
	runtime.AddCleanup(new([16]byte), func(percent int) { debug.SetGCPercent(percent) }, percent)
}

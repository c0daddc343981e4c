//go:build linux

package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/state"
)

// advice is what the walks' commands said to do next and cannot be done: commands that
// do not parse, options that the command has not, and names that the cluster file does not
// have.
type advice struct {
	mu    sync.Mutex
	wrong []string
}

// nextLine is advice on the screen, and in JSON.
var nextLine = regexp.MustCompile(`(?m)next: +(.*)$|"next": "(.*)"`)

// hold looks at what a command with args has just printed.
func (a *advice) hold(ctx context.Context, ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(ts.Getenv("FLOCK_STATE"))
	for i, arg := range args {
		if arg == "--state" && i+1 < len(args) {
			path = ts.MkAbs(args[i+1])
		}
	}
	c, _ := state.Open(path, "").Load(ctx) // one that cannot be read has no names
	for _, line := range nextLine.FindAllStringSubmatch(ts.ReadFile("stdout")+"\n"+ts.ReadFile("stderr"), -1) {
		if err := cli.Advised(line[1]+line[2], args, c); err != nil {
			a.mu.Lock()
			a.wrong = append(a.wrong, fmt.Sprintf("flock %s advises %v", strings.Join(args, " "), err))
			a.mu.Unlock()
		}
	}
}

// report fails t for each piece of advice that does not work, once.
func (a *advice) report(t *testing.T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.wrong)
	for _, text := range slices.Compact(a.wrong) {
		t.Error(text)
	}
}

//go:build linux

package agent

import (
	"fmt"
	"os"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

func problem(err error) *spec.Problem {
	where, next := hint.Of(err)
	what, trace, cut := strings.Cut(err.Error(), "\n")
	if cut && next == "" {
		fmt.Fprintln(os.Stderr, trace)
		next = "see what the agent wrote to its standard error"
	}
	if next == "" {
		next = mendFile(err)
	}
	return &spec.Problem{What: what, Where: where, Next: next}
}

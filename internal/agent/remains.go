//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Remains names the objects of this cluster that are on the server, services and their files
// included. The memory of what was confirmed is none of them, nor are keys.
func (k *Kernel) Remains(ctx context.Context) ([]string, error) {
	if err := k.Look(); err != nil {
		return nil, fmt.Errorf("look what is left: %w", err)
	}
	var names []string
	for _, f := range families {
		if f.Remains == nil {
			continue
		}
		more, err := f.Remains(k.Host)
		if err != nil {
			return nil, fmt.Errorf("look what is left: %w", err)
		}
		names = append(names, more...)
	}
	return names, ctx.Err()
}

// lookForRest looks at the kernel and the disk again when everything was to go, the memory
// of it included, and says in report what is there. What cannot be read is there.
func (k *Kernel) lookForRest(ctx context.Context, report *spec.Report) error {
	names, err := k.Remains(ctx)
	files, filesErr := k.Traces()
	names = append(names, files...)
	slices.Sort(names)
	noteRest(report, slices.Compact(names))
	report.Looked = err == nil && filesErr == nil
	return errors.Join(err, filesErr)
}

// noteRest puts what is left into a report.
func noteRest(report *spec.Report, names []string) {
	report.Left, report.Remains = len(names), names[:min(len(names), spec.RemainsMax)]
}

// fewRemains is what is left in one line.
func fewRemains(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

package view

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// PrintVerdict prints what traffic of a network last showed, in one line; name may be empty.
func (a *Page) PrintVerdict(name string, v state.Verdict, now time.Time) error {
	if name != "" {
		name += " "
	}
	return a.Print(a.Out, "%sverified %s: %s\n", name, strings.ReplaceAll(ago(v.Time, now), screen.NoBreak, " "), v.Says)
}

// PrintVerdicts prints those of verifications that found something wrong; with -o wide all.
func (a *Page) PrintVerdicts(verdicts map[string]state.Verdict, now time.Time) error {
	for _, name := range slices.SortedFunc(maps.Keys(verdicts), screen.ByName) {
		if v := verdicts[name]; a.Wide() || !v.Quick && v.State != verify.Passes {
			if err := a.PrintVerdict(name, v, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// VerdictsOf are the verdicts that a verification comes to at a time, data says whether it sent
// any; a network of which nothing was tried has none. What data showed (had, the verdicts so
// far), echoes alone do not disprove.
func VerdictsOf(list []*Verified, data bool, had map[string]state.Verdict, now time.Time) map[string]state.Verdict {
	out := map[string]state.Verdict{}
	for _, d := range list {
		was := had[d.Name].State
		unseen := !data && d.State() == verify.Passes && (was == verify.Stalls || was == verify.Broken)
		if len(d.Legs) > 0 && !unseen {
			out[d.Name] = state.Verdict{State: d.State(), Says: d.summary(), Time: now.UTC().Truncate(time.Second)}
		}
	}
	return out
}

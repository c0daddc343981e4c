//go:build linux

package claim

import (
	"fmt"

	"github.com/flocknet/flock/internal/spec"
)

// Strangers says why the cluster file that asks for want must not rule this
// server, nil if it may.
func Strangers(last, want *spec.Host) []spec.Problem {
	begun := "" // what somebody may have meant whose file has nothing yet
	if want.Generation == 0 {
		begun = "flock import " + want.Server + ", to go on from that file; or "
	}
	switch {
	case last == nil:
		return nil
	case last.Store != "" && last.Store != want.Store && (want.Store != "" || want.Generation == 0):
		return []spec.Problem{{
			What: fmt.Sprintf("this server belongs to another cluster file that is named %s too (%s there)", want.Cluster, last.Server),
			Next: fmt.Sprintf("%s--cluster OTHERNAME for a cluster of your own, or flock purge %s, to take the server over", begun, want.Server),
		}}
	case last.Generation > want.Generation:
		return []spec.Problem{{
			What: fmt.Sprintf("this server holds generation %d of the cluster file, newer than %d%s", last.Generation, want.Generation, spec.MadeBy(last.Made)),
			Next: fmt.Sprintf("flock pull; or flock purge %s, to start over from this one", want.Server),
		}}
	}
	return nil
}

//go:build linux

package dhcp

import (
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// blame adds to the error of a dnsmasq that did not start who has its ports, if that is
// why: somebody may have been faster since the plan.
func (s *Server) blame(d spec.DHCP, err error) error {
	if err == nil {
		return nil
	}
	own := []int{0, s.process(leaf, d.Network).pid(), s.process(front, d.Network).pid()}
	for _, l := range slices.Concat(s.Listeners(d, nil)...) {
		if !l.Taken() {
			continue
		}
		if name, pid := l.Process(); !slices.Contains(own, pid) {
			return hint.Errorf("", "stop "+name+", or have it listen on addresses of its own only; then flock apply",
				"%v; %s is in use by %s (process %d)", err, l, name, pid)
		}
	}
	return err
}

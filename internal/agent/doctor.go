//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/agent/settings"
	"github.com/flocknet/flock/internal/spec"
)

// doctor gathers what r asks for.
func (s *session) doctor(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	if r.Doctor == nil {
		r.Doctor = &spec.DoctorRequest{}
	}
	found, err := claim.Beside(ctx, k.Host, r.Doctor)
	if err == nil {
		found.Boot, err = settings.AtBoot(k.Host, r.Doctor.Boot)
	}
	return &spec.Reply{Doctor: found}, err
}

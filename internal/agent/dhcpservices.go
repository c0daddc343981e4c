//go:build linux

package agent

import "github.com/flocknet/flock/internal/agent/host"

// services are the name servers of a cluster: dnsmasq, and what answers for names.
type services struct{ *host.Files }

func servicesOf(s *host.Files) *services { return &services{s} }

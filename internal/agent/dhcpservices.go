//go:build linux

package agent

// services are the name servers of a cluster: dnsmasq, and what answers for names.
type services struct{ *Files }

func servicesOf(s *Files) *services { return &services{s} }

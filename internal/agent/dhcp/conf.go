//go:build linux

package dhcp

import (
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
)

const leaf, front = written.Leaf, written.Front

// process is one dnsmasq of this server.
type process struct{ written.Process }

// It is called in so many places that a copy in each is 4 KB of the agent.
//
//go:noinline
func (s *Server) process(r written.Role, network string) process {
	return process{s.has.Process(r, network)}
}

// Daemons are the names of the units that the dnsmasqs of network have, if they have any.
func (s *Server) Daemons(network string) []string {
	return []string{s.process(leaf, network).Daemon, s.process(front, network).Daemon}
}

// networkOf is the network whose dnsmasq, or whose names' process, has a file called
// name; "" of other files.
func networkOf(name string) string {
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	if network, ok := strings.CutPrefix(base, namesStem); ok && ext == unit.PIDSuffix {
		return network
	}
	if !written.Ends(ext) {
		return ""
	}
	for _, r := range [...]written.Role{leaf, front} {
		if network, ok := strings.CutPrefix(base, string(r)+"-"); ok {
			return network
		}
	}
	return ""
}

// planned is a process with the text of its files.
type planned struct {
	process
	*written.Texts
}

// plan returns the processes that d comes to, the leaf first.
func (s *Server) plan(d spec.DHCP) ([]planned, error) {
	program, err := unit.LookPath("dnsmasq")
	if err != nil {
		return nil, err
	}
	list, err := s.has.DNSMasqs(&d, program)
	if err != nil {
		return nil, err
	}
	out := make([]planned, len(list))
	for i, p := range list {
		out[i] = planned{process{p.Process}, &p.Texts}
	}
	return out, nil
}

package option

import (
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// MovedEndpoint is an endpoint (HOST[:PORT]) after a server that it may name moved from
// the address of was to that of now.
func MovedEndpoint(endpoint string, was, now *state.Server) string {
	host, port := splitEndpoint(endpoint)
	if host == "" || host != was.Address {
		return endpoint
	}
	host = now.Address
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	if port != "" {
		port = ":" + port
	}
	return host + port
}

// MovedJump is a jump list after a server that it may name moved from the address and port
// of was to those of now.
func MovedJump(jump string, was, now *state.Server) string {
	if jump == "" {
		return ""
	}
	hops := strings.Split(jump, ",")
	for i, hop := range hops {
		if user, host, port, err := target.ParseHop(strings.TrimSpace(hop)); err == nil && host == was.Address && port == was.Port {
			hops[i] = target.Format(user, now.Address, now.Port)
		}
	}
	return strings.Join(hops, ",")
}

// Login is how s is reached, as addserver takes it.
func Login(s *state.Server) string { return target.Format(s.User, s.Address, s.Port) }

//go:build linux

package wg

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// Endpoints that are names: a server may have no DNS for a while, a name may have
// addresses of both families, and some of those may lead nowhere.

const (
	// resolveWithin bounds the wait for answers about all names together.
	resolveWithin = 5 * time.Second
	// answersHold is how long a session believes an answer: from a plan to its apply.
	answersHold = time.Minute
	// askedAtOnce is how many names are asked for side by side.
	askedAtOnce = 64
)

// lookUp asks the resolver for a host's addresses, in the order in which they are to
// be tried (RFC 6724). Tests put one of their own in its place.
var lookUp = net.DefaultResolver.LookupNetIP

// answer is what a resolver says about an endpoint.
type answer struct {
	addrs []netip.AddrPort // at least one without err
	err   error
	at    time.Time
}

// ask resolves endpoints, HOST:PORT, side by side and within one deadline.
func ask(ctx context.Context, endpoints []string) map[string]answer {
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	out, slots := map[string]answer{}, make(chan struct{}, askedAtOnce)
	endpoints = slices.Clone(endpoints)
	slices.Sort(endpoints)
	for _, endpoint := range slices.Compact(endpoints) {
		group.Go(func() {
			slots <- struct{}{}
			addrs, err := resolve(ctx, endpoint)
			<-slots
			mu.Lock()
			defer mu.Unlock()
			out[endpoint] = answer{addrs, err, time.Now()}
		})
	}
	group.Wait()
	return out
}

// resolve returns the addresses of HOST:PORT, at least one, in the resolver's order
// and without those of a family that this server has no route for, if there are
// others.
func resolve(ctx context.Context, endpoint string) ([]netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(endpoint); err == nil {
		return []netip.AddrPort{a}, nil
	}
	host, service, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read endpoint %s: %w", endpoint, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("read endpoint %s: %w", endpoint, err)
	}
	addrs, err := lookUp(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve endpoint %s: %w", endpoint, err)
	}
	var all, routed []netip.AddrPort
	for _, a := range addrs {
		at := netip.AddrPortFrom(a.Unmap(), uint16(port))
		all = append(all, at)
		if hasRoute(at) {
			routed = append(routed, at)
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("resolve endpoint %s: the name has no address", endpoint)
	case len(routed) == 0:
		return all, nil // there may be one later
	}
	return routed, nil
}

// hasRoute says whether the kernel would know how to send there. Nothing is sent.
func hasRoute(to netip.AddrPort) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return false
	}
	c.Close() //nolint:errcheck // nothing is lost
	return true
}

// IsName says whether an endpoint is a name, not an address. It may be empty, and is none
// then.
func IsName(endpoint string) bool {
	if endpoint == "" {
		return false
	}
	_, err := netip.ParseAddrPort(endpoint)
	return err != nil
}

// Learn resolves those of endpoints that are names and have no answer yet that still holds.
func (s *Server) Learn(ctx context.Context, endpoints []string) {
	unknown := spec.Without(endpoints, func(e string) bool {
		known, there := s.names[e]
		return !IsName(e) || there && time.Since(known.at) < answersHold
	})
	if len(unknown) == 0 {
		return
	}
	if s.names == nil {
		s.names = map[string]answer{}
	}
	for e, a := range ask(ctx, unknown) {
		s.names[e] = a
	}
}

// addrsOf are the addresses of an endpoint, none where its name is not known now: a
// Resolver asks for it again later.
func (s *Server) addrsOf(endpoint string) []netip.AddrPort {
	if a, err := netip.ParseAddrPort(endpoint); err == nil {
		return []netip.AddrPort{a}
	}
	return s.names[endpoint].addrs
}

// endpointsOf are the endpoints that changes set.
func endpointsOf(changes []Change) []string {
	var out []string
	for _, c := range changes {
		if c.Want != nil && (c.Have == nil || c.Have.Endpoint != c.Want.Endpoint) {
			out = append(out, c.Want.Endpoint)
		}
	}
	return out
}

// Unresolved says which of the names that changes set have no address here.
func (s *Server) Unresolved(ctx context.Context, changes []Change) []spec.Problem {
	list := endpointsOf(changes)
	s.Learn(ctx, list)
	var out []spec.Problem
	for _, endpoint := range list {
		if err := s.names[endpoint].err; IsName(endpoint) && err != nil {
			out = append(out, spec.Problem{What: err.Error(), Next: "give an address instead, or mend the DNS of this server"})
		}
	}
	return out
}

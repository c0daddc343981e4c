//go:build linux

package agent

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
// addresses of both families, and of those some lead nowhere.

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

// askNames asks for endpoints, HOST:PORT, all side by side and within one deadline.
func askNames(ctx context.Context, endpoints []string) map[string]answer {
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
			addrs, err := askName(ctx, endpoint)
			<-slots
			mu.Lock()
			defer mu.Unlock()
			out[endpoint] = answer{addrs, err, time.Now()}
		})
	}
	group.Wait()
	return out
}

// askName returns the addresses of HOST:PORT, at least one, in the resolver's order
// and without those of a family that this server has no route for, if there are
// others.
func askName(ctx context.Context, endpoint string) ([]netip.AddrPort, error) {
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

// named says whether an endpoint is a name, not an address.
func named(endpoint string) bool {
	if endpoint == "" {
		return false
	}
	_, err := netip.ParseAddrPort(endpoint)
	return err != nil
}

// learnNames asks for those of endpoints that are names and of which no answer is
// known that still holds.
func (k *Kernel) learnNames(ctx context.Context, endpoints []string) {
	unknown := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool {
		known, there := k.wg.names[e]
		return !named(e) || there && time.Since(known.at) < answersHold
	})
	if len(unknown) == 0 {
		return
	}
	if k.wg.names == nil {
		k.wg.names = map[string]answer{}
	}
	for e, a := range askNames(ctx, unknown) {
		k.wg.names[e] = a
	}
}

// addrsOf are the addresses of an endpoint, none where its name is not known now: it
// is asked for again later (Resolve).
func (k *Kernel) addrsOf(endpoint string) []netip.AddrPort {
	if a, err := netip.ParseAddrPort(endpoint); err == nil {
		return []netip.AddrPort{a}
	}
	return k.wg.names[endpoint].addrs
}

// learnNew asks for the names that want brings, before the server's lock is taken:
// nobody has to wait for a resolver that does not answer.
func (s *session) learnNew(ctx context.Context, want *spec.Host) error {
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return named(p.Endpoint) }) {
		return nil
	}
	k, err := s.kernel(want.Cluster)
	if err != nil {
		return err
	}
	last := k.services.last()
	known := map[string]bool{}
	if last != nil {
		for _, p := range last.Peers {
			known[p.Endpoint] = true
		}
	}
	var fresh []string
	for _, p := range want.Peers {
		if !known[p.Endpoint] {
			fresh = append(fresh, p.Endpoint)
		}
	}
	k.learnNames(ctx, fresh)
	return nil
}

// pointing are the endpoints that ops set.
func pointing(ops []Op) []string {
	var out []string
	for _, op := range ops {
		p, ok := op.Want.(spec.Peer)
		if h, found := op.Have.(spec.Peer); ok && (!found || h.Endpoint != p.Endpoint) {
			out = append(out, p.Endpoint)
		}
	}
	return out
}

// unresolved says which of the names that steps need are unknown here.
func (k *Kernel) unresolved(ctx context.Context, ops []Op) []spec.Problem {
	list := pointing(ops)
	k.learnNames(ctx, list)
	var out []spec.Problem
	for _, endpoint := range list {
		if err := k.wg.names[endpoint].err; named(endpoint) && err != nil {
			out = append(out, spec.Problem{What: err.Error(), Next: "give an address instead, or mend the DNS of this server"})
		}
	}
	return out
}

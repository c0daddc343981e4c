package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Compile turns the cluster into one spec per server. It is pure: the same
// cluster gives the same bytes. A member that was never contacted has an empty
// part and appears in nobody else's; one whose server lacks what it asks for is
// a Problem. An error means that the cluster itself does not make sense.
func Compile(c *state.Cluster) (*ground.Compiled, error) { return compile(ground.NewBuilder(c)) }

// CompileWith is Compile, and says what of every server's routes and settings network asks
// for: of all else an object tells by itself, or its link does.
func CompileWith(c *state.Cluster, network string) (*ground.Compiled, map[string]*spec.Host, error) {
	b := ground.NewBuilderAbout(c, network)
	out, err := compile(b)
	return out, b.Asked.Hosts, err
}

func compile(base *ground.Builder) (*ground.Compiled, error) {
	b, c := &builder{Builder: base, apart: map[string][]netip.Prefix{}}, base.Cluster
	servers := c.ServerNames()
	for _, name := range servers {
		b.Out.Hosts[name] = &spec.Host{Cluster: c.Name, Store: c.ID, Server: name, Generation: c.Generation, Made: c.Made()}
	}
	names, err := stackedLast(c)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		n := c.Networks[name]
		kind, ok := kindOf(n)
		if !ok {
			return nil, hint.Errorf("network "+name, "one of: "+ground.JoinWords(kindNames()), "compile %s: unknown type %q", name, n.Type)
		}
		if err := b.Asking(name, func() error { return kind.compile(b, name, n) }); err != nil {
			return nil, hint.With(fmt.Errorf("compile %s: %w", name, err), "network "+name, "")
		}
	}
	b.NotePublic()
	for _, name := range servers {
		segment.AddOwn(b.Builder, name)
		segment.Attach(b.Builder, name)
	}
	for _, name := range names {
		if back := backendOf(c.Networks[name]); back == nil || back.Routes {
			if err := segment.JoinNames(b.Builder, name, c.Networks[name]); err != nil {
				return nil, err
			}
		}
	}
	segment.NameAttached(b.Builder, func(n *state.Network) bool { return meaning(n).segment })
	if err := b.guardShares(); err != nil {
		return nil, err
	}
	for _, name := range servers {
		b.finish(name)
	}
	slices.SortStableFunc(b.Out.Problems, func(p, q ground.Problem) int {
		if p.Server != q.Server {
			return strings.Compare(p.Server, q.Server)
		}
		return strings.Compare(p.Network, q.Network)
	})
	slices.SortStableFunc(b.Out.Notes, func(a, b ground.Note) int { return strings.Compare(a.Network, b.Network) })
	return &b.Out, nil
}

// builder is base for those who ask what networks mean.
type builder struct {
	*ground.Builder
	apart map[string][]netip.Prefix // by network: what isolated containers are kept from
}

// finish adds what follows from all networks of a server together.
func (b *builder) finish(server string) {
	h := b.Out.Hosts[server]
	closeBGP(h)
	slices.SortFunc(h.Sysctls, func(a, b spec.Sysctl) int { return strings.Compare(a.Key, b.Key) })
	h.Sysctls = slices.Compact(h.Sysctls)
	if len(h.Links)+len(h.Attached) == 0 {
		return
	}
	segment.ClosePorts(h)
	b.isolate(h)
	var links []string
	taken := make(map[string]string, len(h.Links))
	for _, l := range h.Links {
		if other, twice := taken[l.Name]; twice {
			b.Problem(server, l.Network, hint.Errorf("server "+server, "give one of the networks another name or bridge",
				"networks %s and %s would both have a device %s", other, l.Network, l.Name))
		}
		taken[l.Name] = l.Network
		if l.Moves { // whoever gave it its addresses does at boot, too
			ground.GoBy(l.Name, l.Master, h, b.Asked.Hosts[server])
			continue
		}
		links = append(links, l.Name)
	}
	if len(h.Attached) > 0 {
		links = append(links, spec.AttachPrefix+"*") // one pattern: daemons need not hear of each
	}
	slices.Sort(links)
	h.Unmanaged = []spec.Unmanage{{Links: links}}
}

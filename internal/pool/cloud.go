package pool

import (
	"cmp"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// In a cloud its own routers bring packets to the members: what each says of itself decides
// whether they can.

// inOneCloud refuses a member whose packets to the others would not reach the cloud's
// routers, or that is elsewhere than those before it.
func (p *Pool) inOneCloud(m *Member) error {
	f := p.Cluster.Servers[m.Server].Facts
	for _, v6 := range p.families() {
		by := f.Default4
		if v6 {
			by = f.Default6
		}
		if by != m.Dev {
			next := "name the interface of its default route: flock addnetwork " + p.Name + " " + m.Server + ":" + by
			if by == "" {
				next = "give it a default route by " + m.Dev
			}
			return hint.Errorf("server "+m.Server, next, "packets of %s to other members would leave by its %s default route, and that is not by %s", m.Server, ground.FamilyName(v6), m.Dev)
		}
	}
	at := p.NIC(m)
	if at == nil {
		return nil
	}
	if named := cmp.Or(p.N.Region, p.N.Project); otherwise(named, at.Region) {
		return hint.Errorf("server "+m.Server, "a network of its own for each region", "%s is in %s, %s is for %s", m.Server, at.Region, p.Name, named)
	}
	for _, other := range p.Members {
		o := p.NIC(other)
		switch {
		case o == nil:
		case otherwise(o.Region, at.Region):
			return hint.Errorf("server "+m.Server, "a network of its own for each region", "%s is in %s and %s in %s: no route table leads from one to the other", m.Server, at.Region, other.Server, o.Region)
		case otherwise(o.VPC, at.VPC):
			return hint.Errorf("server "+m.Server, "a network of its own for each VPC", "%s is in %s and %s in %s: no route table leads from one to the other", m.Server, at.VPC, other.Server, o.VPC)
		}
	}
	return nil
}

// otherwise says whether two know where they are, and say it differently.
func otherwise(a, b string) bool { return a != "" && b != "" && a != b }

// NIC is what m's metadata service says of the interface with its address; nil: nothing.
func (p *Pool) NIC(m *Member) *state.CloudNIC {
	list := p.Cluster.Servers[m.Server].Facts.Cloud
	at := slices.IndexFunc(list, func(n state.CloudNIC) bool { return n.Cloud == p.back.Cloud && n.Addr == m.Addr })
	if at < 0 {
		return nil
	}
	return &list[at]
}

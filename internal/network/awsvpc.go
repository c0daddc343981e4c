package network

import (
	"cmp"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/pool"
	"github.com/flocknet/flock/internal/state"
)

// AWSVPC is the kind of a pool network whose packets travel as they are, by the route tables
// of an AWS VPC: a row for each member's subnet leads to its network interface.
const AWSVPC = "aws-vpc"

func awsVPCKind() *Kind {
	return poolKind(AWSVPC, pool.Backend{Routes: true, Cloud: "aws"}, routeCloud, "route-table", "region", "profile")
}

// routeCloud asks the cloud for a route to m. On the servers the default route leads to it.
func routeCloud(p *pool.Pool, m *pool.Member) {
	region := cmp.Or(p.N.Region, p.N.Project)
	for _, other := range p.Members { // all are in one, as far as they say it
		if at := p.NIC(other); at != nil && region == "" {
			region = at.Region
		}
	}
	of := cloudOf(&p.Out.Clouds, ground.Cloud{Kind: backendOf(p.N).Cloud, Region: region, Profile: p.N.Profile})
	if last := len(of.Networks) - 1; last < 0 || of.Networks[last].Name != p.Name {
		of.Networks = append(of.Networks, ground.CloudNetwork{Name: p.Name, Pools: ground.Pools(p.N), Tables: p.N.Tables})
	}
	n := &of.Networks[len(of.Networks)-1]
	n.Members = append(n.Members, ground.CloudMember{Server: m.Server, Addr: m.Addr, At: p.NIC(m), Routed: m.Routed})
}

// cloudOf is the cloud of list that is like of, made if need be.
func cloudOf(list *[]ground.Cloud, of ground.Cloud) *ground.Cloud {
	at := slices.IndexFunc(*list, func(c ground.Cloud) bool {
		return c.Kind == of.Kind && c.Region == of.Region && c.Profile == of.Profile
	})
	if at < 0 {
		at, *list = len(*list), append(*list, of)
	}
	return &(*list)[at]
}

// CloudOf is the cloud whose metadata service a server is asked for, because of a network that
// it is in; "": none.
func CloudOf(c *state.Cluster, server string) string {
	for _, name := range ground.Networks(c, server) {
		if back := backendOf(c.Networks[name]); back != nil && back.Cloud != "" {
			return back.Cloud
		}
	}
	return ""
}

package edit

import (
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// AddDocker makes a network one of Docker's and Podman's on servers, without any on all members
// that have one of them, those to come too. What it is already stays.
func AddDocker(c *state.Cluster, name string, servers []string) error {
	n, err := dockerNet(c, name, servers)
	switch {
	case err != nil:
		return err
	case len(servers) == 0:
		n.Docker = []string{state.AllMembers}
	case slices.Contains(n.Docker, state.AllMembers):
	default:
		for _, server := range servers {
			if !slices.Contains(n.Docker, server) {
				n.Docker = append(n.Docker, server)
			}
		}
	}
	return nil
}

// DelDocker ends that on servers, without any on all. Where it is not so, and where there is no
// such network, is no error.
func DelDocker(c *state.Cluster, name string, servers []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := networkOf(c, name)
	switch {
	case err != nil:
		return err
	case len(servers) == 0 || len(n.Docker) == 0:
		n.Docker = nil
		return nil
	case slices.Contains(n.Docker, state.AllMembers):
		n.Docker = membersOf(n)
	}
	n.Docker = slices.DeleteFunc(n.Docker, func(server string) bool { return slices.Contains(servers, server) })
	return nil
}

// dockerNet is the network of that name, all servers being members.
func dockerNet(c *state.Cluster, name string, servers []string) (*state.Network, error) {
	n, err := networkOf(c, name)
	if err != nil {
		return nil, err
	}
	for _, server := range servers {
		switch {
		case c.Servers[server] == nil:
			return nil, ground.UnknownServer(server)
		case !ground.HasMember(n, server):
			return nil, hint.Errorf("network "+name, "flock addnetwork "+name+" "+server, "%s is not a member of %s", server, name)
		}
	}
	return n, nil
}

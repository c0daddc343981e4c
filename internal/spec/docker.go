package spec

import "net/netip"

// DockerNet is a network of Docker's, and of Podman's, on a bridge of ours, for each of them
// that the server has. It has the name of the network.
type DockerNet struct {
	Network string
	// Options are bridge, subnet, gateway, docker (the range that it hands out, a prefix),
	// podman (likewise, FIRST-LAST) and mtu in this order, each with its value: this text is what
	// Docker and Podman remember of it.
	Options string
	Range   netip.Prefix // masked: both ranges; part of Options
	Asked   bool         `json:",omitempty"` // this server was named: one without Docker and Podman is refused
}

// Object names the network in a Step.
func (d DockerNet) Object() string { return "dockernet " + d.Network }

func (d DockerNet) String() string {
	text := d.Object() + " " + d.Options
	if d.Asked {
		text += " asked"
	}
	return text
}

// Package dhcp serves the containers of a network: DHCP and DNS, by dnsmasq. It owns its
// files, units and processes, the leases in them and their way to another server, and the
// daemon that asks the servers of a network for names where each has its own leases.
//
// It does not know why a network has a DHCP server here, or what else the server has: the
// bridge and its addresses are there before it starts. Whose a name is, agent/names decides.
package dhcp

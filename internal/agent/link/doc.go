// Package link is the links of a server and what stands on them: addresses, neighbours,
// forwarding entries, WireGuard's peers, the members of UDP devices, routes; and the
// processes behind devices that the kernel does not make.
//
// It owns the links that bear a cluster's mark. It refuses what is no object of the
// kernel's network: filters, settings and files are others', and so is what stands in the
// way of a new link.
package link

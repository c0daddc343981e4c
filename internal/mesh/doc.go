// Package mesh owns WireGuard networks among members: one device on each, its peers, and the
// routes through it. A mesh is a network by itself, or the underlay of an encrypted segment.
//
// A device's name, address and routes follow from the cluster file; its key is made on the
// server. A member whose key is not known yet is no peer of any other. Which networks have a
// mesh, and what completes them, is for their kinds.
package mesh

// Package bgp is the BGP daemon of one server: GoBGP's speaker, and around it what
// GoBGP leaves to others. It owns the kernel's routes with protocol
// spec.RouteProtoBGP: puts best paths in, resolves their next hops, repairs what
// others change, keeps them while it restarts. It takes a spec.BGP from a file and
// answers its agent on a socket.
//
// It refuses to know clusters and networks, and touches no route of anybody else.
// Nothing else imports GoBGP or gRPC.
package bgp

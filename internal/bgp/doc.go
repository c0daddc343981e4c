// Package bgp is the BGP daemon of one server: GoBGP as the speaker, and what GoBGP
// leaves to others. It owns the kernel's routes with protocol spec.RouteProtoBGP: it
// adds best paths, resolves their next hops, repairs what others change, and keeps the
// routes while it restarts. It reads a spec.BGP from a file and answers its agent on a
// socket.
//
// It knows neither clusters nor networks, and changes no route of anybody else. Only
// this package and journal import GoBGP or gRPC.
package bgp

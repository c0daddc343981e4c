// Package segment owns layer 2 networks of containers on one server: the bridge, its gateway,
// the guard before its ports, what DHCP hands out there, and what members are dealt of the
// subnets; and which bridges of a layer 3 network ask each other for names. How frames travel
// between servers is for the kinds of network.
//
// It asks no kind, and no server: what it is told becomes a part of a spec.
package segment

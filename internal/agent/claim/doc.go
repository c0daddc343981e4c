// Package claim says what others have on a server: facts about it, which a plan is
// compiled from, and what stands in the way of a change (subnets, ports, names, programs,
// devices, room on the disk), before any server is changed.
//
// It owns no object. It refuses to change anything: what it tries, it tries elsewhere, or
// gives back at once.
package claim

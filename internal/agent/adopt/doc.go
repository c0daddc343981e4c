// Package adopt gives LXC's, Docker's and libvirt's own bridge the address that a spec has for it,
// by the configuration of these programs, and gives them back what they had. It owns how their files
// say an address, what was there before, and how each takes another one up.
//
// It refuses to touch bridges on which containers or guests are, and files in which somebody else
// changed the address meanwhile. It starts none that does not run, which would be somebody else's
// decision.
package adopt

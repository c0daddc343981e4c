// Package dockernet owns a network of ours as a network of Docker's and of Podman's: what these
// programs have, what differs, who uses it, and how it is made and removed there. It gives LXC's,
// Docker's and libvirt's own bridge another subnet, too, in the configuration of these programs,
// and gives it back.
//
// It refuses to touch networks of theirs that do not bear the cluster's label, networks of its own
// and bridges of theirs on which containers are, and files that somebody else changed meanwhile. It
// never starts Docker, which would be somebody else's decision, and does not wait for one that hangs.
package dockernet

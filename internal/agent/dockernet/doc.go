// Package dockernet owns a network of ours as a network of Docker's and of Podman's: what these
// programs have, what differs, who uses it, and how it is made and removed there.
//
// It refuses to touch networks of theirs that do not bear the cluster's label, and networks of its
// own on which containers are. It never starts Docker, which would be somebody else's decision,
// and does not wait for one that hangs.
package dockernet

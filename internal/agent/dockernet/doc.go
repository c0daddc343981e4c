// Package dockernet owns a network of ours as a network of Docker's and of Podman's: what these
// programs have, what differs, who uses it, and how it is made and removed there.
//
// It refuses to touch networks of theirs that do not bear the cluster's label, and never starts
// Docker: that would be somebody else's decision.
package dockernet

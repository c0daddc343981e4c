// Package agent is flock on a server: it looks at this server's kernel and daemons (Observe),
// compares them with what the spec asks for (Diff, pure), makes the smallest change and goes on
// until nothing differs (Reconcile).
//
// It owns the links whose alias starts with flock:CLUSTER/ and everything on them, the routes of
// its own protocol number, the nftables tables flock-CLUSTER, the zone CLUSTER-flock of firewalld,
// the rules of ufw's with the comment flock:CLUSTER, the networks of Docker's and Podman's with the
// label io.flocknet.cluster=CLUSTER, the files below /var/lib/flock and the units flock-*. What
// carries none of these marks it never changes: a foreign object under a name that is wanted is a
// conflict, not something to take over. Kernel settings are remembered, and restored afterwards.
//
// It knows no network kinds, no cluster file and no SSH: only spec.Host.
package agent

// Package dropin writes files for other programs on a server: which links
// systemd-networkd and NetworkManager leave alone, and a pool's subnet.env.
//
// It owns the files that bear a cluster's mark in their first line. It refuses files that
// somebody else wrote, and to run what reads them.
package dropin

// Package hostkeys owns what known_hosts files say of servers' keys, as ssh reads them.
//
// It asks nobody: whether a new key is taken, and written down, is decided in remote.
package hostkeys

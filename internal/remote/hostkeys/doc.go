// Package hostkeys owns what known_hosts files say of servers' keys, as ssh reads them.
//
// It asks nobody and writes nothing: whether a new key is taken is decided in remote.
package hostkeys

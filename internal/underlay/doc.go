// Package underlay is what a probing of the networks below flock's own tries (pure): packets
// between servers like those of each kind of network, and what kind fits what passed. It owns
// which packets are sent, how a path is judged by what came, and what is recommended. It refuses
// to send anything.
package underlay

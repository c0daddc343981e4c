// Package capture is what a capture on all members of a network is made of (pure): where
// packets are taken, the filter, in pcap's syntax, as a program for the kernel, the order of
// what servers hand over, the pcapng file, and a packet as a line of text.
//
// It opens no socket and contacts nobody.
package capture

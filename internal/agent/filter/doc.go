// Package filter is the packet filters of a server as a line of the table of families: how
// gateways, guards, doors, masquerades and accepts are compared, and when their rules are
// written. What rules are made of is agent/nft's.
//
// It owns the steps of a plan about packet filters, and refuses to read or write a rule itself.
package filter

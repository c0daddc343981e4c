// Package nft owns the packet filters of a cluster on a server: what of a spec is rules, how
// they are found damaged, and how they are written, in one transaction.
//
// It refuses to write what is no packet filter and to decide what a server should have: a
// spec asks for objects, and rules of others are read, never changed.
package nft

// OtherRules are rules of others that make sense only for what is forwarded.
type OtherRules struct {
	What      string // as a person would find it: masquerade in ip nat
	Four, Six bool   // the families of addresses that they see
}

// Package pool owns networks that deal every member a subnet: what each is dealt, who reaches
// whom without encapsulation, and what all backends have in common in a spec.
//
// How packets travel between members is for each backend, a kind of network; no kind is asked
// here.
package pool

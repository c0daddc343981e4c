// Package family is what all sorts of objects that a server can hold have in common: how
// what is wanted is compared with what is there (pure), what a sort can do (Family), and
// how the differences are made good (Applier).
//
// It owns the sequence in which objects go and come, and the batches of messages to the
// kernel. It refuses to know any sort: each is a line of a table that it is given.
package family

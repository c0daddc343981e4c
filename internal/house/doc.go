// Package house has the rules for the whole tree, as tests: which package may import
// which, which comments there must be, which calls and names are banned, what each
// dependency is for. It has no code.
package house

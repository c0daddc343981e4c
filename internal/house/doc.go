// Package house holds the rules that the whole tree keeps, as tests: who may
// import whom and why not more, what every package and exported name says about
// itself, what is never written, what each dependency is for. It has no code.
package house

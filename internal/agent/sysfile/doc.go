// Package sysfile reads and writes the files of a server: small ones, whole, with few
// system calls. It owns how a file is replaced (in one step, durably where that is asked
// for), how much is read at most, and the marks in a file's first lines that say whose it
// is and what it was made from.
//
// It does not know which files there are, nor what is in them. Unlike plainfile, which
// reads what an operator names, it reads /proc and /sys too, and what it finds in the
// place of a file of ours.
package sysfile

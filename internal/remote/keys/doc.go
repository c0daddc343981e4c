// Package keys owns the private keys of the workstation: identity files with their passphrases,
// and what an ssh agent holds.
//
// Which of them is offered to which server, and when, is decided in remote.
package keys

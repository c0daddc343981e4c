// Package settings is the settings of the kernel that a spec asks for: which follow from
// it on this server, what was found before the first change, and what goes back when
// nobody needs ours any more.
//
// It owns the note of what was found. It refuses to take back what somebody else changed
// or came to rely on; how a setting is read and written is package sysctl's.
package settings

// Package doctor is what on a server, or on the workstation, will bite (pure): which facts are
// gathered, what is found in them, why that matters, and the command that mends it. It owns the
// list of what is looked for; it refuses to ask a server, and to change one.
package doctor

// Package startup has the units that start the agent on a server without a workstation:
// before containers and guests start, at boot, and after another program has replaced the
// packet filter. All clusters share them.
//
// It owns their files and links: how they are planned, made, enabled and removed. It refuses
// to know what the agent does when they start it.
package startup

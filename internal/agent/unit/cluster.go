//go:build linux

package unit

import "strings"

// Early is the unit that makes links before containers and guests start.
const Early = "flock-early.service"

// Boot is the unit that puts all clusters back after a reboot.
const Boot = "flock-boot.service"

// Rules is the template of units that put the rules back after another program took them
// away.
const Rules = "flock-rules@.service"

// Instance is the instance of a template for the unit called of; what is no template is
// its own.
func Instance(template, of string) string {
	return strings.Replace(template, "@", "@"+strings.TrimSuffix(of, Suffix), 1)
}

// PIDSuffix is what the names of pid files end with.
const PIDSuffix = ".pid"

// Cluster is what runs here for one cluster: its systemd units, the processes of its
// daemons and their pid files.
type Cluster struct {
	name    string
	dir     string // systemd's units
	systemd string // exists where systemd is the init
	run     string // the cluster's directory of what does not outlive a reboot: pid files, notes
}

// New returns what runs for the cluster called name. The unit files are in dir, pid
// files in run; systemd is a path that exists where systemd is the init. Nothing is read.
func New(name, dir, systemd, run string) *Cluster {
	return &Cluster{name: name, dir: dir, systemd: systemd, run: run}
}

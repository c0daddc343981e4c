//go:build linux

package guest

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// libvirt writes each guest down in a file, and each that runs in another one, whenever something
// changes. Who reads them hears of all guests, also where libvirt itself does not run: it starts
// when it is asked something, and its guests run on without it.

// Files is where libvirt's guests are written down.
type Files struct {
	Kept    string // as they are at their next start
	Running string
	Proc    string // the processes of the server
}

// System are the files of qemu:///system.
func System() Files {
	return Files{Kept: "/etc/libvirt/qemu", Running: "/run/libvirt/qemu", Proc: "/proc"}
}

// Guest is one of libvirt's.
type Guest struct {
	Name, UUID string
	Kept       *Domain // nil: it goes with its end (a transient one)
	Running    *Domain // nil: it is shut off
}

// Domain is what libvirt says of a guest.
type Domain struct {
	NICs  []*NIC
	marks *element // <metadata>
}

// Now is what holds of g at this moment.
func (g *Guest) Now() *Domain {
	if g.Running != nil {
		return g.Running
	}
	return g.Kept
}

// Names are the guests that there are, running or not.
func (f Files) Names() ([]string, error) {
	var out []string
	for _, dir := range []string{f.Kept, f.Running} {
		list, err := sysfile.Names(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, file := range list {
			name, is := strings.CutSuffix(file, ".xml")
			if is && (dir == f.Kept || !sysfile.Exists(filepath.Join(f.Kept, file))) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// Find reads what is written of a guest; nil if there is none of that name.
func (f Files) Find(name string) (*Guest, error) {
	g := &Guest{Name: name}
	kept, err := sysfile.ReadIfThere(filepath.Join(f.Kept, name+".xml"))
	if err != nil {
		return nil, err
	}
	running, err := sysfile.ReadIfThere(filepath.Join(f.Running, name+".xml"))
	if err != nil {
		return nil, err
	}
	if e := (&element{inside: kept}).child("domain"); e.name != "" {
		g.UUID, g.Kept = e.child("uuid").text(), domainOf(e)
	}
	if e := (&element{inside: running}).child("domstatus"); f.lives(name, e.attr("pid")) {
		if d := e.child("domain"); d.name != "" {
			g.UUID, g.Running = d.child("uuid").text(), domainOf(d)
		}
	}
	if g.Now() == nil || g.UUID == "" {
		return nil, nil
	}
	return g, nil
}

// lives says whether the process of a guest is there: what is written may be of one that was
// killed while libvirt did not run.
func (f Files) lives(name, pid string) bool {
	if pid == "" {
		return false
	}
	line, err := sysfile.ReadIfThere(filepath.Join(f.Proc, pid, "cmdline"))
	return err == nil && strings.Contains(line, name)
}

// Parse reads what libvirt answers of a guest.
func Parse(text string) *Domain {
	return domainOf((&element{inside: text}).child("domain"))
}

func domainOf(e *element) *Domain {
	d := &Domain{marks: e.child("metadata")}
	for _, c := range elements(e.child("devices").inside) {
		if c.name == "interface" {
			d.NICs = append(d.NICs, nicOf(c))
		}
	}
	return d
}

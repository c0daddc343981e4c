// Package lab makes machines out of namespaces: servers with a real OpenSSH
// sshd (and a real systemd, where wanted) on an overlay of this machine's root,
// an underlay that joins them, something outside to reach, and containers to
// plug into a server's bridge. It owns everything below its directory, the
// network namespaces with its prefix and the processes in them, and it leaves
// none of that behind.
//
// It does not know flock's networks: it is for testing them from outside. It never
// writes to this machine's own root, and changes this machine's own network only when
// asked to attach the lab (one interface, one free subnet).
//
// Linux and root only.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// What Options.Init may be.
const (
	Systemd = "systemd" // systemd-nspawn boots a real systemd: about 30 MB and half a second a server
	None    = "none"    // sshd alone is process 1: under 2 MB a server, and hosts with another init
)

// Laptop is the machine from which an unattached lab is used. It has its own overlay
// like a server, so that what `local` changes on its workstation stays in the lab.
const Laptop = "laptop"

// Addresses of a lab. Server number N has host part N in each subnet.
var (
	underlay4   = netip.MustParsePrefix("10.99.0.0/24")
	underlay6   = netip.MustParsePrefix("fd99::/64")
	second4     = netip.MustParsePrefix("10.98.0.0/24")
	gateway4    = netip.MustParseAddr("10.99.0.254")
	gateway6    = netip.MustParseAddr("fd99::fe")
	outside4    = netip.MustParseAddr("198.51.100.1")
	outside6    = netip.MustParseAddr("2001:db8:51::1")
	outsideGW4  = netip.MustParseAddr("198.51.100.254")
	outsideGW6  = netip.MustParseAddr("2001:db8:51::fe")
	outsideName = "outside.example"
)

const (
	laptopNumber = 250
	maxServers   = 240
	attached     = "flocklab0" // the interface of an attached lab in this machine's own namespace
	metaFile     = "lab.json"
)

// Options says what Up builds.
type Options struct {
	N      int    // servers s1 … sN, 1 to 240
	Init   string // Systemd (the default) or None
	Dir    string // where it lives; empty: DefaultDir. Made by Up, a tmpfs is mounted on it
	Root   string // directory that `make root` prepared: servers boot from its layer above this machine's root; empty: from this machine's root
	Prefix string // of its namespaces' names, at most 10 bytes; empty: derived from Dir
	Attach bool   // give this machine's own network an interface in the lab, in place of the machine Laptop
	Share  []string
	// Share lists directories of this machine that the machine Laptop sees at
	// the same place, writable. Not used with Attach.

	SSHD string // lines for the servers' sshd_config

	// Bound ties the lab to this process: if the process ends without Down, the next Up
	// or DownDir removes the lab.
	Bound bool

	Log func(string) // gets one line per step and the notes on how to use it; nil: silent
}

// Lab is one running (or crashed) lab.
type Lab struct {
	Dir    string   `json:"dir"`
	Prefix string   `json:"prefix"`
	Init   string   `json:"init"`
	N      int      `json:"n"`
	Root   string   `json:"root,omitempty"`
	Attach bool     `json:"attach"`
	Share  []string `json:"share,omitempty"`
	SSHD   string   `json:"sshd,omitempty"`
	// Owner is the process that the lab is bound to; nil: it stays until Down.
	Owner *Owner `json:"owner,omitempty"`
}

// DefaultDir is the default directory of a lab: $FLOCK_LAB, or /run/flock-lab.
func DefaultDir() string {
	if d := os.Getenv("FLOCK_LAB"); d != "" {
		return d
	}
	return "/run/flock-lab"
}

// Open reads what Up left in dir; empty means DefaultDir. An error that matches
// fs.ErrNotExist means that no lab is there.
func Open(dir string) (*Lab, error) {
	if dir == "" {
		dir = DefaultDir()
	}
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, hint.With(fmt.Errorf("open lab %s: %w", dir, err), "", "flock lab up 3")
	}
	l := new(Lab)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, hint.With(fmt.Errorf("read %s: %w", filepath.Join(dir, metaFile), err), "", "flock lab down")
	}
	return l, nil
}

// SSHConfig is the file for `ssh -F` and FLOCK_SSH_CONFIG: it names every server
// with its key.
func (l *Lab) SSHConfig() string { return filepath.Join(l.Dir, "ssh_config") }

// Disk is the directory of what a machine has changed on its root: the upper
// layer of its overlay. A file there that this machine's root has too was
// changed; a character device 0/0 marks one that was removed.
func (l *Lab) Disk(host string) string { return filepath.Join(l.machineDir(host), "upper") }

// Servers are the names s1 … sN.
func (l *Lab) Servers() []string {
	names := make([]string, l.N)
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i+1)
	}
	return names
}

// Usage is how to use the lab from a shell, line by line.
func (l *Lab) Usage() []string {
	if !l.Attach {
		return nil
	}
	return []string{
		"export FLOCK_SSH_CONFIG=" + l.SSHConfig(),
		"flock addserver s1 root@" + l.machine("s1").addr4().String(),
		"ssh -F " + l.SSHConfig() + " s1",
		"flock lab container s1 c1 vxl0 dhcp",
		"flock lab down",
	}
}

// newLab checks o and sets defaults.
func newLab(o Options) (*Lab, error) {
	l := &Lab{Dir: o.Dir, Prefix: o.Prefix, Init: o.Init, N: o.N, Root: o.Root, Attach: o.Attach, Share: o.Share, SSHD: o.SSHD}
	if l.Dir == "" {
		l.Dir = DefaultDir()
	}
	dir, err := filepath.Abs(l.Dir)
	if err != nil {
		return nil, fmt.Errorf("find lab directory %s: %w", l.Dir, err)
	}
	l.Dir = dir
	// Mount options and ssh_config give blanks, commas and colons a meaning.
	if !regexp.MustCompile(`^/[\w./+-]+$`).MatchString(l.Dir) {
		return nil, fmt.Errorf("use %q as lab directory: only letters, digits and ./+-_ may be in its name", l.Dir)
	}
	if l.Prefix == "" {
		l.Prefix = prefixOf(l.Dir)
	}
	if l.Init == "" {
		l.Init = Systemd
	}
	if o.Bound {
		l.Owner = &Owner{os.Getpid(), startTime(os.Getpid())}
	}
	switch {
	case l.N < 1 || l.N > maxServers:
		return nil, hint.Errorf("", "flock lab up 3", "boot %d servers: a lab has 1 to %d", l.N, maxServers)
	case l.Init != Systemd && l.Init != None:
		return nil, hint.Errorf("", "flock lab up --init none", "boot with init %q: it is systemd or none", l.Init)
	case !regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`).MatchString(l.Prefix):
		return nil, fmt.Errorf("use %q as lab prefix: it is up to ten lower case letters and digits", l.Prefix)
	}
	return l, nil
}

// prefixOf is the prefix of the namespaces of the lab in dir. It depends on dir alone,
// so that a crashed lab can be found again.
func prefixOf(dir string) string {
	if dir == "/run/flock-lab" {
		return "flocklab"
	}
	h := fnv.New32a()
	h.Write([]byte(dir))
	return fmt.Sprintf("fl%08x", h.Sum32())
}

func (l *Lab) save() error {
	text, err := json.MarshalIndent(l, "", "\t")
	if err != nil {
		return fmt.Errorf("write %s: %w", metaFile, err)
	}
	return os.WriteFile(filepath.Join(l.Dir, metaFile), append(text, '\n'), 0o600)
}

// machine is one server or the laptop.
type machine struct {
	name string
	n    int // host part of its addresses
}

// machines are all machines that Up boots.
func (l *Lab) machines() []machine {
	ms := make([]machine, 0, l.N+1)
	for i, name := range l.Servers() {
		ms = append(ms, machine{name, i + 1})
	}
	if !l.Attach {
		ms = append(ms, machine{Laptop, laptopNumber})
	}
	return ms
}

// machine looks a machine up by name; the zero machine means there is none.
func (l *Lab) machine(name string) machine {
	ms := l.machines()
	if i := slices.IndexFunc(ms, func(m machine) bool { return m.name == name }); i >= 0 {
		return ms[i]
	}
	return machine{}
}

func (l *Lab) mustMachine(name string) (machine, error) {
	m := l.machine(name)
	if m.name == "" {
		return m, hint.Errorf("lab "+l.Dir, "flock lab list", "find machine %s: the lab has s1 to s%d", name, l.N)
	}
	return m, nil
}

func (m machine) addr4() netip.Addr   { return hostPart(underlay4, m.n) }
func (m machine) addr6() netip.Addr   { return hostPart(underlay6, m.n) }
func (m machine) second4() netip.Addr { return hostPart(second4, m.n) }

// hostPart sets the last byte of p's address. The IPv6 address of server 10 is
// fd99::10, as people write it, not fd99::a.
func hostPart(p netip.Prefix, n int) netip.Addr {
	if p.Addr().Is6() {
		return netip.MustParseAddr(strings.TrimSuffix(p.Addr().String(), "::") + fmt.Sprintf("::%d", n))
	}
	b := p.Addr().As4()
	b[3] = byte(n)
	return netip.AddrFrom4(b)
}

func (l *Lab) ns(name string) string { return l.Prefix + "-" + name }
func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}
func (l *Lab) machineDir(name string) string      { return l.path("machine", name) }
func (l *Lab) containerDir(name string) string    { return l.path("container", name) }
func nsFile(ns string) string                     { return "/run/netns/" + ns }
func exists(path string) bool                     { _, err := os.Lstat(path); return err == nil }
func cleanup(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// LaptopNS is the name of the network namespace from which the servers are
// reached, or empty when this machine's own is attached.
func (l *Lab) LaptopNS() string {
	if l.Attach {
		return ""
	}
	return l.ns(Laptop)
}

// Status is one line of List.
type Status struct {
	Name       string   `json:"name"`
	Address    string   `json:"address"`
	Address6   string   `json:"address6"`
	Up         bool     `json:"up"`
	Containers []string `json:"containers,omitempty"`
}

// Containers are the names of the containers on host.
func (l *Lab) Containers(host string) ([]string, error) {
	cs, err := l.containers()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range cs {
		if c.Host == host {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// Port is the name of a container's interface on its server.
func Port(container string) string { return "v" + container }

// List says which machines run and which containers are on them.
func (l *Lab) List() ([]Status, error) {
	var list []Status
	for _, m := range l.machines() {
		s := Status{Name: m.name, Address: m.addr4().String(), Address6: m.addr6().String()}
		_, err := l.inner(m.name)
		s.Up = err == nil
		if err != nil && !errors.Is(err, errOff) {
			return nil, err
		}
		if s.Containers, err = l.Containers(m.name); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

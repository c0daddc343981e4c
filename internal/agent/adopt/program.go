//go:build linux

package adopt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// program makes a bridge by itself, as a file says.
type program struct {
	name   string
	bridge string
	file   string
	format
	has  string // what is there where the program is
	pkg  string // Debian's package of it
	unit string // of systemd, that makes the bridge, or is asked for it
	stop string // the command that stops a container or guest
}

// programs are all that there are.
var programs = []*program{
	{name: "LXC", bridge: spec.LXCBridge, file: "/etc/default/lxc-net", format: lxcNet{}, has: "lxc-start", pkg: "lxc", unit: "lxc-net", stop: "lxc-stop"},
	{name: "Docker", bridge: spec.DockerBridge, file: "/etc/docker/daemon.json", format: dockerJSON{}, has: "dockerd", pkg: "docker.io", unit: "docker", stop: "docker stop"},
	{name: "libvirt", bridge: spec.LibvirtBridge, file: "/etc/libvirt/qemu/networks/default.xml", format: libvirtXML{}, has: "virsh", pkg: "libvirt-daemon-system", unit: "libvirtd", stop: "virsh shutdown"},
}

// programOf is the program of a bridge, nil for one of an agent that came later.
func programOf(bridge string) *program {
	if i := slices.IndexFunc(programs, func(p *program) bool { return p.bridge == bridge }); i >= 0 {
		return programs[i]
	}
	return nil
}

// Bounds of what programs may take: an answer, and a start or stop.
const (
	answers = 30 * time.Second
	turns   = 90 * time.Second
)

// ask is what a program says, without what it says to people.
func ask(ctx context.Context, most time.Duration, name string, args ...string) (string, error) {
	return unit.Ask(ctx, most, "", name, args...)
}

func virsh(ctx context.Context, args ...string) (string, error) {
	return ask(ctx, answers, "virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...)
}

// there says whether the program is installed.
func (p *program) there() bool {
	_, err := unit.LookPath(p.has)
	return err == nil && (p.bridge != spec.LXCBridge || sysfile.Exists(p.file)) // lxc-start comes without a bridge, too
}

// text is what the file has, "" if there is none.
func (p *program) text() (string, error) { return sysfile.ReadIfThere(p.file) }

// active says whether the program has its bridge now.
func (p *program) active(ctx context.Context) bool {
	if p.bridge == spec.LibvirtBridge {
		return p.up()
	}
	_, err := ask(ctx, answers, "systemctl", "is-active", "-q", p.unit)
	return err == nil
}

func (p *program) up() bool { return sysfile.Exists("/sys/class/net/" + p.bridge) }

// live are the IPv4 addresses that the bridge has.
func (p *program) live() []netip.Prefix {
	dev, err := net.InterfaceByName(p.bridge)
	if err != nil {
		return nil
	}
	list, _ := dev.Addrs() // gone meanwhile: none
	var out []netip.Prefix
	for _, a := range list {
		if at, err := netip.ParsePrefix(a.String()); err == nil && at.Addr().Is4() {
			out = append(out, at)
		}
	}
	return out
}

// ports are the interfaces that hang on the bridge.
func (p *program) ports() []string {
	list, _ := os.ReadDir("/sys/class/net/" + p.bridge + "/brif") // no bridge: none
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// runs are the containers or guests of the program that run.
func (p *program) runs(ctx context.Context) ([]string, error) {
	var out string
	var err error
	switch p.bridge {
	case spec.LXCBridge:
		out, err = ask(ctx, answers, "lxc-ls", "-1", "--running")
	case spec.DockerBridge:
		out, err = ask(ctx, answers, "docker", "-H", "unix:///var/run/docker.sock", "ps", "--format", "{{.Names}}")
	case spec.LibvirtBridge:
		out, err = virsh(ctx, "list", "--name")
	}
	return strings.Fields(out), err
}

// start and end make the program take its bridge up, and let go of it.
func (p *program) start(ctx context.Context) error { return p.does(ctx, "start") }
func (p *program) end(ctx context.Context) error   { return p.does(ctx, "stop") }

func (p *program) does(ctx context.Context, verb string) error {
	if p.bridge == spec.LibvirtBridge {
		_, err := virsh(ctx, map[string]string{"start": "net-start", "stop": "net-destroy"}[verb], "default")
		return err
	}
	_, _ = ask(ctx, answers, "systemctl", "reset-failed", p.unit) // one that did not fail is as good
	_, err := ask(ctx, turns, "systemctl", verb, p.unit)
	return err
}

// write makes text the program's configuration; "" takes the file away.
func (p *program) write(ctx context.Context, text, work string) error {
	if p.bridge == spec.LibvirtBridge {
		if err := sysfile.Write(work, text, 0o600, false); err != nil {
			return err
		}
		_, err := virsh(ctx, "net-define", work)
		return errors.Join(err, sysfile.Remove(work))
	}
	if text == "" {
		return sysfile.Remove(p.file)
	}
	file, mode := p.file, os.FileMode(0o644)
	if to, err := filepath.EvalSymlinks(file); err == nil {
		file = to
		if info, err := os.Stat(file); err == nil {
			mode = info.Mode().Perm()
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as the package would make it
		return fmt.Errorf("make directory: %w", err)
	}
	return sysfile.Write(file, text, mode, true)
}

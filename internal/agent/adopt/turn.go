//go:build linux

package adopt

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// isEmpty says whether a file of ours says nothing.
func isEmpty(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || text == "{}"
}

// turn makes the program let go of its bridge by what it was told before, and take it up by text.
// One that fails at that is started again by the next turn.
func (p *program) turn(ctx context.Context, k *host.Host, text string) error {
	paused := pausedPath(k, p.bridge)
	if p.active(ctx) {
		if err := sysfile.Write(paused, "", 0o644, true); err != nil {
			return err
		}
		if err := p.end(ctx); err != nil {
			return err
		}
	}
	if dev, err := netlink.LinkByName(p.bridge); err == nil { // Docker takes its subnet from a bridge that is there
		if err := netlink.LinkDel(dev); err != nil {
			return fmt.Errorf("remove %s: %w", p.bridge, err)
		}
	}
	err := p.write(ctx, text, path(k, p.bridge)+".new")
	if sysfile.Exists(paused) {
		started := p.start(ctx)
		err = errors.Join(err, started)
		if started == nil {
			err = errors.Join(err, sysfile.Remove(paused))
		}
	}
	return err
}

// try says what is in the way of a bridge having the address, or with an invalid one its own again.
func try(ctx context.Context, k *host.Host, bridge string, want netip.Prefix) (*spec.Problem, error) {
	p := programOf(bridge)
	if p == nil {
		return &spec.Problem{What: "this agent does not know " + bridge, Next: "flock setsubnet none"}, nil
	}
	if !p.there() {
		if want.IsValid() {
			return &spec.Problem{What: p.name + " is not there, whose " + bridge + " would have the subnet", Next: "apt-get install " + p.pkg}, nil
		}
		return nil, nil
	}
	if p.bridge != spec.LibvirtBridge && !sysfile.Exists("/run/systemd/system") {
		return &spec.Problem{What: "without systemd " + p.name + " is not restarted, which another subnet needs", Next: "systemctl restart " + p.unit}, nil
	}
	if cluster := others(k, bridge); cluster != "" {
		return &spec.Problem{What: "cluster " + cluster + " has given " + bridge + " its subnet", Next: "flock --cluster " + cluster + " listservers"}, nil
	}
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	n, err := readNote(k, bridge)
	if err != nil {
		return nil, err
	}
	if problem := p.reads(text, n, path(k, bridge)); problem != nil {
		return problem, nil
	}
	if p.bridge == spec.DockerBridge && !want.IsValid() && n != nil && n.chosen.IsValid() && !p.active(ctx) && !sysfile.Exists(pausedPath(k, bridge)) {
		return &spec.Problem{What: "Docker does not run, and would keep " + n.told.String() + " for " + bridge, Next: "systemctl start docker"}, nil
	}
	if !want.IsValid() && n != nil {
		if back, err := p.put(text, n.former); err == nil {
			want = p.address(back)
		}
	}
	return p.hangs(ctx, want), nil
}

// reads says what of the file's text is in the way: what is not understood, or what somebody else
// wrote since the note. (A file that says what it said before the note is ours to write again.)
func (p *program) reads(text string, n *note, noted string) *spec.Problem {
	is, err := p.get(text)
	if err != nil {
		return &spec.Problem{What: "what " + p.file + " says is not understood: " + err.Error(), Next: "cat " + p.file}
	}
	if at := p.address(text); n != nil && is != n.former && at != n.told && at != n.chosen {
		has := "nothing"
		if at.IsValid() {
			has = at.String()
		}
		return &spec.Problem{What: fmt.Sprintf("%s has %s for %s, flock set %s: somebody else changed it", p.file, has, p.bridge, n.told), Next: fmt.Sprintf("set it to %s there, or keep it: rm %s", n.told, noted)}
	}
	switch f := p.format.(type) {
	case dockerJSON:
		for _, key := range []string{"bridge", "fixed-cidr"} {
			if value, _ := f.key(text, key); value != "" {
				return &spec.Problem{What: p.file + " has " + key + ", which does not go with another bip", Next: "cat " + p.file}
			}
		}
	case libvirtXML:
		if !strings.Contains(text, "<bridge name='"+p.bridge+"'") {
			return &spec.Problem{What: "libvirt's network default is not on " + p.bridge, Next: "virsh net-edit default"}
		}
		for _, more := range []string{"<host", "<bootp", "<tftp"} {
			if strings.Contains(is, more) {
				return &spec.Problem{What: "libvirt's network default has more than a range in its DHCP", Next: "virsh net-edit default"}
			}
		}
	}
	return nil
}

// hangs says who would lose an address, or stop, if the bridge had want.
func (p *program) hangs(ctx context.Context, want netip.Prefix) *spec.Problem {
	var runs []string
	var err error
	ports := p.ports()
	switch p.bridge {
	case spec.LXCBridge:
		if problem := fixedOutside(want); problem != nil {
			return problem
		}
		if len(ports) > 0 {
			runs, err = p.runs(ctx)
		}
	case spec.DockerBridge:
		if p.active(ctx) {
			runs, err = p.runs(ctx)
		}
		if names := strings.Join(runs, " "); names != "" {
			return &spec.Problem{What: "containers of Docker run, which its restart would stop: " + names, Next: "docker stop " + names}
		}
	case spec.LibvirtBridge:
		runs, err = p.runs(ctx)
	}
	if err != nil {
		return &spec.Problem{What: p.name + " does not answer: " + err.Error(), Next: "systemctl restart " + p.unit}
	}
	if len(ports) == 0 {
		return nil
	}
	problem := &spec.Problem{What: "on " + p.bridge + " hang " + strings.Join(ports, " ") + ", which would lose their addresses", Next: "ip link show master " + p.bridge}
	if len(runs) > 0 {
		problem.What += "; of " + p.name + " run: " + strings.Join(runs, " ")
		problem.Next = p.stop + " " + runs[0]
	}
	return problem
}

// fixedOutside names a container of LXC's on its bridge whose fixed address want does not have.
func fixedOutside(want netip.Prefix) *spec.Problem {
	files, _ := filepath.Glob("/var/lib/lxc/*/config") // the pattern is well formed
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // gone meanwhile
		}
		if a := outside(string(text), want); a != "" {
			return &spec.Problem{What: fmt.Sprintf("%s has %s on %s, which would be outside of it", f, a, spec.LXCBridge), Next: "grep address " + f}
		}
	}
	return nil
}

// outside is a fixed address in a container's configuration that want does not have, "" if it has none
// such, or is on another bridge.
func outside(config string, want netip.Prefix) string {
	fixed, ours := "", false
	for line := range strings.Lines(config) {
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !strings.HasPrefix(key, "lxc.net.") {
			continue
		}
		switch {
		case strings.HasSuffix(key, ".link"):
			ours = ours || value == spec.LXCBridge
		case strings.HasSuffix(key, ".ipv4.address"):
			text, _, _ := strings.Cut(value, "/")
			if a, err := netip.ParseAddr(text); err == nil && want.IsValid() && !want.Contains(a) {
				fixed = text
			}
		}
	}
	if !ours {
		return ""
	}
	return fixed
}

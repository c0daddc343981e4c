//go:build linux

package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// Whether a kernel can make a kind of device only a trial tells: the module may be
// there and be refused (signatures, a blacklist). The trial is a process of its own in
// a network namespace of its own. A thread of this one would not do: the first thread
// of a process never ends, and what it looks at below /proc/self would be the trial's.

// tryWithin bounds a trial: modules are read from the disk.
const tryWithin = 20 * time.Second

// TryKinds returns those of kinds that this kernel cannot make.
func TryKinds(ctx context.Context, kinds []string) ([]string, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "agent", "try", strings.Join(kinds, ","))
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		return strings.Fields(string(out)), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("nothing within %v", tryWithin)
	} else if text := strings.TrimSpace(said.String()); text != "" {
		err = errors.New(text)
	}
	return nil, fmt.Errorf("try %s devices: %w", strings.Join(kinds, ", "), err)
}

// claimKinds says which kinds of want's links the kernel cannot make. Links that are
// there prove theirs.
func claimKinds(ctx context.Context, k *host.Host, want *spec.Host) ([]spec.Problem, error) {
	needed := map[string]bool{}
	for _, l := range want.Links {
		if dev := k.Devices.ByName[l.Name]; dev == nil || link.KindOf(k, dev) != l.Kind {
			needed[l.Kind] = true
		}
	}
	if len(needed) == 0 {
		return nil, nil
	}
	var kinds []string
	for _, kind := range []string{spec.VXLAN, spec.GRE, spec.IP6GRE, spec.IPIP, spec.VLAN} {
		if needed[kind] && !proven(k, kind) {
			kinds = append(kinds, kind)
		}
	}
	tun := needed[spec.UDP]
	if needed[spec.WireGuard] && !proven(k, spec.WireGuard) {
		support, err := link.WGHere(k)
		if err != nil {
			return nil, err
		}
		if support == spec.KernelDevice {
			kinds = append(kinds, spec.WireGuard)
		} else {
			tun = true
		}
	}
	lacking, err := TryKinds(ctx, kinds)
	if err != nil {
		return nil, err
	}
	var out []spec.Problem
	for _, kind := range lacking {
		if kind == spec.WireGuard {
			tun = true // it takes a device of that sort instead
		} else {
			out = append(out, lacksKind(kind))
		}
	}
	if tun {
		out = append(out, claimTUN(needed[spec.UDP])...)
	}
	return out, nil
}

// claimTUN says why no TUN device can be made, for a UDP network or else in the place
// of a kernel's WireGuard. To open it makes none; the kernel loads the module for it.
func claimTUN(udp bool) []spec.Problem {
	fd, err := unix.Open(wg.TUNPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		_ = unix.Close(fd) // nothing was done with it
		return nil
	case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO):
		return []spec.Problem{{
			What: fmt.Sprintf("%s cannot be opened: %v", wg.TUNPath, err),
			Next: "ls -l " + wg.TUNPath + ": a container needs it to be passed on from its host",
		}}
	case udp:
		return []spec.Problem{lacksKind(spec.UDP)}
	}
	return []spec.Problem{{What: "the kernel has neither WireGuard nor TUN devices", Next: "modprobe wireguard, or modprobe tun"}}
}

func lacksKind(kind string) spec.Problem {
	word := map[string]string{
		spec.VXLAN: "VXLAN", spec.GRE: "GRE", spec.IP6GRE: "GRE over IPv6", spec.IPIP: "IPIP", spec.UDP: "TUN", spec.VLAN: "VLAN",
	}[kind]
	return spec.Problem{
		What: "the kernel has no " + word + " devices",
		Next: "modprobe " + link.ModuleOf(kind) + ", or install the extra modules of the kernel",
	}
}

// proven says whether a device of kind or its module is there.
func proven(k *host.Host, kind string) bool {
	for _, l := range k.Devices.ByName {
		if l.Type() == kind {
			return true
		}
	}
	return sysfile.Exists("/sys/module/" + link.ModuleOf(kind))
}

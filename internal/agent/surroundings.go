//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// lookAround finds out what others have here that wants forwarding. It is asked only when
// a setting of the server is about to go back.
func (k *Kernel) lookAround() (*surroundings, error) {
	s := &surroundings{bridges: k.otherBridges(), tunnels: k.otherWireGuards()}
	var err error
	if s.rules, err = k.filters.Others(); err != nil {
		return nil, err
	}
	if s.daemons, err = networkDaemons(); err != nil {
		return nil, err
	}
	files, err := settingFiles(k.services.paths.sysctls)
	if err != nil {
		return nil, err
	}
	s.files = bootSettings(files)
	return s, nil
}

func (k *Kernel) otherBridges() []otherBridge {
	var out []otherBridge
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		l, ok := k.devices.byName[name].(*netlink.Bridge)
		if !ok || flocks(l) {
			continue
		}
		b := otherBridge{name: name, leads: k.leads(l.Index)}
		b.ports = len(slices.DeleteFunc(k.portsOf(l.Index), flocks))
		for _, a := range k.addrs {
			if p := toPrefix(a.IPNet).Addr(); a.LinkIndex == l.Index && p.IsGlobalUnicast() {
				b.four, b.six = b.four || p.Is4(), b.six || p.Is6()
			}
		}
		out = append(out, b)
	}
	return out
}

// otherWireGuards are devices that are up, of the kernel or of a process (whose socket
// tells, wg(8)).
func (k *Kernel) otherWireGuards() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		l := k.devices.byName[name]
		if flocks(l) || l.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		if l.Type() == spec.WireGuard || l.Type() == "tuntap" && sysfile.Exists("/var/run/wireguard/"+name+".sock") {
			out = append(out, name)
		}
	}
	return out
}

// networkDaemons are programs that make bridges and rules whenever somebody wants a
// network of them, and of which one runs in this network namespace.
func networkDaemons() ([]string, error) {
	known := []string{"dockerd", "libvirtd", "virtnetworkd", "lxd", "incusd", "kubelet", "k3s-server", "k3s-agent", "podman"}
	pids, own, err := unit.Processes()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, pid := range pids {
		comm, err := sysfile.Read("/proc/" + pid + "/comm")
		name := strings.TrimSpace(string(comm))
		if err != nil || !slices.Contains(known, name) || slices.Contains(out, name) {
			continue // or it has just ended
		}
		if unit.SharesNetwork(pid, own) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// settingFiles reads what systemd-sysctl and sysctl --system do: of files of one name that
// of the first directory, in the order of the names, /etc/sysctl.conf at last.
func settingFiles(dirs []string) ([]textFile, error) {
	chosen := map[string]string{}
	for _, dir := range dirs {
		found, err := sysfile.List(dir, "", ".conf")
		if err != nil {
			return nil, fmt.Errorf("list settings: %w", err)
		}
		for _, path := range found {
			if _, taken := chosen[filepath.Base(path)]; !taken && filepath.Base(path) != "sysctl.conf" {
				chosen[filepath.Base(path)] = path
			}
		}
	}
	var out []textFile
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		out = append(out, textFile{path: chosen[name]})
	}
	if len(dirs) > 0 {
		out = append(out, textFile{path: filepath.Join(filepath.Dir(dirs[0]), "sysctl.conf")})
	}
	for i := range out {
		text, err := sysfile.Read(out[i].path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		out[i].text = string(text)
	}
	return out, nil
}

//go:build linux

package host

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/wire"
)

// portFile remembers the devices of others that are ports of our bridges: such a device
// bears no mark.
const portFile = "ports.json"

// PortNotes are the devices of others that are ports of our bridges, by name, and how they
// were found: WasDown, or ""; Set is the bridge that has their addresses. It is the caller's.
func (k *Host) PortNotes() map[string]SettingNote {
	note, damaged := Recall(filepath.Join(k.Dir(), portFile), func(map[string]SettingNote) bool { return true })
	if damaged {
		k.Loses(portFile)
	}
	if note == nil {
		return map[string]SettingNote{}
	}
	return *note
}

// WasDown is what a note says of a device that was found down.
const WasDown = "down"

// NotePorts remembers ports in the place of those that were remembered.
func (k *Host) NotePorts(ports map[string]SettingNote) error {
	path := filepath.Join(k.Dir(), portFile)
	if len(ports) == 0 {
		delete(k.Lost, portFile)
		return RemoveNote(path)
	}
	data, err := wire.Marshal(ports)
	if have, rerr := sysfile.Read(path); err == nil && rerr == nil && string(have) == string(data) && !k.Lost[portFile] {
		return nil
	}
	delete(k.Lost, portFile)
	if err == nil {
		err = sysfile.MakeDir(k.Dir())
	}
	if err == nil {
		err = WriteNote(path, string(data))
	}
	if err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	return nil
}

// PlugsOf lists the ports of a bridge that flock did not plug in.
func (k *Host) PlugsOf(bridge int) []netlink.Link {
	given := k.PortNotes()
	return slices.DeleteFunc(k.PortsOf(bridge), func(l netlink.Link) bool {
		_, noted := given[l.Attrs().Name]
		return noted || Flocks(l) || Passing(l)
	})
}

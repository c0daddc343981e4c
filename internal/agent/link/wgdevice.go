//go:build linux

package link

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// newWireGuard makes a device, still down, with its key and port: the kernel's
// where it has WireGuard, otherwise a TUN device with a process behind it.
func newWireGuard(ctx context.Context, k *host.Host, l spec.Link) error {
	if _, err := k.Keys.Private(l.Name, l.Key); err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	err := newKernelLink(k, l)
	if errors.Is(err, unix.EOPNOTSUPP) && sysfile.Exists(wg.TUNPath) {
		if err = newTUN(k, l); err == nil {
			err = k.Units.Start(ctx, WGDaemon(k.Files, l.Name, l.Network))
		}
	}
	if err != nil {
		return err
	}
	return k.WG.SetDevice(k.Keys, l, spec.Link{})
}

// newTUN makes a TUN device that outlives its process: addresses and routes stay
// where the process is started anew. It lasts from the moment on that it carries
// our mark; until then it goes with this process.
func newTUN(k *host.Host, l spec.Link) error {
	f, err := os.OpenFile(wg.TUNPath, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	err = setupTUN(k, int(f.Fd()), l)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	return k.ReadDevices()
}

func setupTUN(k *host.Host, fd int, l spec.Link) error {
	ifr, err := unix.NewIfreq(l.Name)
	if err != nil {
		return err
	}
	const exclusive = 0x8000 // IFF_TUN_EXCL: somebody else's is not taken over
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | exclusive)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	if err := k.ReadDevices(); err != nil {
		return err
	}
	index, err := k.Index(l.Name)
	if err != nil {
		return err
	}
	messages := append([]*nl.NetlinkRequest{aliasMessage(index, spec.Alias(k.Cluster, l.Network))}, mtuMessages(index, l)...)
	if err := k.RT.Do(messages...); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// mendWireGuard brings a living device to want. A userspace device whose process
// does not answer gets a new one.
func mendWireGuard(ctx context.Context, k *host.Host, want, have spec.Link) error {
	if k.Userspace(want.Name) && have.Key == "" {
		d, err := k.WG.Device(want.Name)
		if err != nil {
			return err
		}
		if d == nil {
			if err := k.Units.Start(ctx, WGDaemon(k.Files, want.Name, want.Network)); err != nil {
				return err
			}
			have = spec.Link{}
		}
	}
	if want.Key == have.Key && want.Port == have.Port {
		return nil
	}
	return k.WG.SetDevice(k.Keys, want, have)
}

// WGSupport is what a WireGuard device would be here, as wg.Support says. Where the cluster
// has one, it is what that is.
func WGSupport(k *host.Host, release string) (string, error) {
	for _, l := range k.Devices.ByName {
		if _, ours := k.Network(l); ours && KindOf(k, l) == spec.WireGuard {
			if k.Userspace(l.Attrs().Name) {
				return spec.UserspaceDevice, nil
			}
			return spec.KernelDevice, nil
		}
	}
	return wg.Support(release)
}

// WGHere is wgSupport on the running kernel.
func WGHere(k *host.Host) (string, error) {
	release, err := kernelRelease()
	if err != nil {
		return "", err
	}
	return WGSupport(k, release)
}

func kernelRelease() (string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", fmt.Errorf("read kernel name: %w", err)
	}
	return unix.ByteSliceToString(uts.Release[:]), nil
}

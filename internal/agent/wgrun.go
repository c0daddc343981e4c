//go:build linux

package agent

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/flocknet/flock/internal/spec"
)

// WireGuard is the process behind the TUN device name, which an agent made: it
// encrypts and decrypts until it is told to end or the device is gone. wg(8) and
// agents talk to it on its socket. A process that was started anew takes the last
// confirmed spec up by itself.
func WireGuard(ctx context.Context, name string, log io.Writer) error {
	link, cluster, network, err := markedDevice(name)
	if err != nil {
		return err
	}
	s := newServices(cluster)
	dev, socket, err := openUserspace(name, link.Attrs().MTU, log)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := s.restore(ctx, dev, name); err != nil {
		fmt.Fprintln(log, err) // an agent can still set it up
	}
	if link.Attrs().Flags&net.FlagUp != 0 {
		if err := dev.Up(); err != nil {
			return errors.Join(fmt.Errorf("set device %s up: %w", name, err), socket.Close())
		}
	}
	listener, err := ipc.UAPIListen(name, socket)
	if err != nil {
		return fmt.Errorf("listen on the socket of %s: %w", name, noInotify("the device", err))
	}
	done, err := s.units.Ready(s.wgDaemon(name, network))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	err = converse(ctx, dev, listener)
	return errors.Join(err, listener.Close(), done())
}

// markedDevice finds a device of ours, and whose it is, by its mark.
func markedDevice(name string) (link netlink.Link, cluster, network string, err error) {
	if link, err = netlink.LinkByName(name); err != nil {
		return nil, "", "", fmt.Errorf("find device %s: %w", name, err)
	}
	mark, ours := strings.CutPrefix(link.Attrs().Alias, spec.AliasPrefix)
	cluster, network, _ = strings.Cut(mark, "/")
	if !ours || cluster == "" {
		return nil, "", "", fmt.Errorf("run device %s: it does not carry flock's mark", name)
	}
	return link, cluster, network, nil
}

// openUserspace takes hold of the TUN device and of the path of its socket.
func openUserspace(name string, mtu int, log io.Writer) (*device.Device, *os.File, error) {
	link, err := tun.CreateTUN(name, mtu)
	if err != nil {
		return nil, nil, fmt.Errorf("open device %s: %w", name, err)
	}
	socket, err := ipc.UAPIOpen(name)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the socket of %s: %w", name, err), link.Close())
	}
	logger := &device.Logger{
		Verbosef: device.DiscardLogf,
		Errorf:   func(format string, args ...any) { fmt.Fprintf(log, name+": "+format+"\n", args...) },
	}
	return device.NewDevice(link, conn.NewDefaultBind(), logger), socket, nil
}

// converse answers on listener until something ends.
func converse(ctx context.Context, dev *device.Device, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				ended <- fmt.Errorf("listen on the socket: %w", err)
				return
			}
			go dev.IpcHandle(c)
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-dev.Wait():
		return nil // the device was deleted: there is nothing to start anew for
	case err := <-ended:
		return err
	}
}

// restore gives dev what the last confirmed spec says about it, if it does.
func (s *services) restore(ctx context.Context, dev *device.Device, name string) error {
	last := s.last()
	if last == nil {
		return nil
	}
	for _, l := range last.Links {
		if l.Name != name || l.Kind != spec.WireGuard {
			continue
		}
		config, err := s.uapiConfig(ctx, l, last.Peers)
		if err != nil {
			return err
		}
		if err := dev.IpcSet(config); err != nil {
			return fmt.Errorf("restore device %s: %w", name, err)
		}
	}
	return nil
}

// uapiConfig is a whole device in the words of
// https://www.wireguard.com/xplatform/#configuration-protocol.
func (s *services) uapiConfig(ctx context.Context, l spec.Link, peers []spec.Peer) (string, error) {
	private, err := s.privateKey(l.Name, l.Key)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	var endpoints []string
	for _, p := range peers {
		if p.Link == l.Name && p.Endpoint != "" {
			endpoints = append(endpoints, p.Endpoint)
		}
	}
	names := askNames(ctx, endpoints)
	fmt.Fprintf(&b, "private_key=%x\nlisten_port=%d\nreplace_peers=true\n", private[:], l.Port)
	for _, p := range peers {
		if p.Link != l.Name {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(p.Key)
		if err != nil {
			return "", fmt.Errorf("read the key of a peer of %s: %w", l.Name, err)
		}
		fmt.Fprintf(&b, "public_key=%s\nreplace_allowed_ips=true\n", hex.EncodeToString(key))
		if list := names[p.Endpoint].addrs; len(list) > 0 { // what is not known now is asked for again later (Resolve)
			fmt.Fprintf(&b, "endpoint=%s\n", list[0])
		}
		if p.Keepalive > 0 {
			fmt.Fprintf(&b, "persistent_keepalive_interval=%d\n", p.Keepalive)
		}
		for _, a := range p.Allowed {
			fmt.Fprintf(&b, "allowed_ip=%s\n", a)
		}
	}
	return b.String(), nil
}

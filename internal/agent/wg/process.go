//go:build linux

package wg

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

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/flocknet/flock/internal/spec"
)

// Process is what runs behind a TUN device that an agent made: it encrypts and decrypts.
// wg(8) and agents talk to it on its socket.
type Process struct {
	Device string // the TUN device
	MTU    int
	Up     bool
	// Config returns what the process begins with, as the protocol of its socket has it;
	// an error is logged only, since an agent can still set the device up.
	Config func(context.Context) (string, error)
	// Ready says that the process works; done takes that back.
	Ready func() (done func() error, err error)
	// Explain says of an error from listening on the socket what it means.
	Explain func(error) error
	Log     io.Writer
}

// Run runs until ctx ends or the device is gone, which are no errors.
func (p Process) Run(ctx context.Context) error {
	dev, socket, err := openUserspace(p.Device, p.MTU, p.Log)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := p.restore(ctx, dev); err != nil {
		fmt.Fprintln(p.Log, err)
	}
	if p.Up {
		if err := dev.Up(); err != nil {
			return errors.Join(fmt.Errorf("set device %s up: %w", p.Device, err), socket.Close())
		}
	}
	listener, err := ipc.UAPIListen(p.Device, socket)
	if err != nil {
		return fmt.Errorf("listen on the socket of %s: %w", p.Device, p.Explain(err))
	}
	done, err := p.Ready()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	err = converse(ctx, dev, listener)
	return errors.Join(err, listener.Close(), done())
}

// restore sets dev up as Config says.
func (p Process) restore(ctx context.Context, dev *device.Device) error {
	config, err := p.Config(ctx)
	if err != nil || config == "" {
		return err
	}
	if err := dev.IpcSet(config); err != nil {
		return fmt.Errorf("restore device %s: %w", p.Device, err)
	}
	return nil
}

// openUserspace opens the TUN device and the path of its socket.
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
	return device.NewDevice(link, newCrossing(conn.NewDefaultBind()), logger), socket, nil
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

// Config is the whole of device name in host, as
// https://www.wireguard.com/xplatform/#configuration-protocol has it, with its private key;
// "" where host has no such device.
func Config(ctx context.Context, keys *Keys, host *spec.Host, name string) (string, error) {
	for _, l := range host.Links {
		if l.Name == name && l.Kind == spec.WireGuard {
			return config(ctx, keys, l, host.Peers)
		}
	}
	return "", nil
}

func config(ctx context.Context, keys *Keys, l spec.Link, peers []spec.Peer) (string, error) {
	private, err := keys.Private(l.Name, l.Key)
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
	names := ask(ctx, endpoints)
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
		if list := names[p.Endpoint].addrs; len(list) > 0 { // a Resolver asks again later for what is not known now
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

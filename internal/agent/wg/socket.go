//go:build linux

package wg

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// SocketDir is where wg(8) looks for the sockets of userspace devices.
const SocketDir = "/var/run/wireguard"

// Devices are the server's WireGuard devices: the kernel's by netlink, those in userspace
// by their sockets. wgctrl knows both, but it waits for ever for a process that hangs, and
// whoever waits holds the server's lock. The zero value is ready for use.
type Devices struct {
	kernel *wgctrl.Client // nil until one is asked for: that makes the kernel load its module
}

// AnswerWithin bounds an exchange with the process behind a userspace device.
var AnswerWithin = 10 * time.Second // less in tests

// Close closes the sockets that were opened.
func (w *Devices) Close() error {
	if w.kernel == nil {
		return nil
	}
	return w.kernel.Close()
}

func (w *Devices) client() (*wgctrl.Client, error) {
	if w.kernel == nil {
		c, err := wgctrl.New()
		if err != nil {
			return nil, fmt.Errorf("open WireGuard's netlink: %w", err)
		}
		w.kernel = c
	}
	return w.kernel, nil
}

// Device reads a device. If its process does not answer in time, Silent knows the error.
func (w *Devices) Device(name string) (*wgtypes.Device, error) {
	d := &wgtypes.Device{Name: name, Type: wgtypes.Userspace}
	answered, err := uapi(name, "get=1\n\n", d)
	if answered || err != nil {
		return d, err
	}
	c, err := w.client()
	if err != nil {
		return nil, err
	}
	return c.Device(name)
}

// ConfigureDevice changes what config names, and nothing else of the device.
func (w *Devices) ConfigureDevice(name string, config wgtypes.Config) error {
	answered, err := uapi(name, "set=1\n"+uapiText(config)+"\n", &wgtypes.Device{})
	if answered || err != nil {
		return err
	}
	c, err := w.client()
	if err != nil {
		return err
	}
	return c.ConfigureDevice(name, config)
}

// uapi sends a request to the process behind device and reads its answer into d. Where no
// process listens, answered is false and there is no error.
// https://www.wireguard.com/xplatform/#configuration-protocol
func uapi(device, request string, d *wgtypes.Device) (answered bool, err error) {
	path := filepath.Join(SocketDir, device+".sock")
	if !sysfile.Exists(path) {
		return false, nil
	}
	until := time.Now().Add(AnswerWithin)
	c, err := (&net.Dialer{Deadline: until}).Dial("unix", path)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // all is read
	if err := c.SetDeadline(until); err != nil {
		return false, err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return false, err
	}
	if err := readUAPI(c, d); err != nil {
		return false, err
	}
	return true, nil
}

// readUAPI reads an answer, up to its empty line.
func readUAPI(r io.Reader, d *wgtypes.Device) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "":
			d.PublicKey = d.PrivateKey.PublicKey()
			return nil
		case "errno":
			if n, err := strconv.Atoi(value); err != nil || n != 0 {
				return unix.Errno(max(n, -n))
			}
		case "public_key":
			d.Peers = append(d.Peers, wgtypes.Peer{})
		}
		if err := uapiField(d, key, value); err != nil {
			return fmt.Errorf("read %s: %w", key, err) // a value may be a key
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// uapiField reads one line about the device, or about the last of its peers. It ignores
// fields that we never look at.
func uapiField(d *wgtypes.Device, key, value string) (err error) {
	var n int64
	switch key {
	case "listen_port", "last_handshake_time_sec", "last_handshake_time_nsec", "tx_bytes", "rx_bytes", "persistent_keepalive_interval":
		if n, err = strconv.ParseInt(value, 10, 64); err != nil {
			return errors.New("it is no number")
		}
	}
	switch key {
	case "private_key":
		d.PrivateKey, err = hexKey(value)
		return err
	case "listen_port":
		d.ListenPort = int(n)
		return nil
	}
	if len(d.Peers) == 0 {
		return nil
	}
	p := &d.Peers[len(d.Peers)-1]
	switch key {
	case "public_key":
		p.PublicKey, err = hexKey(value)
	case "preshared_key":
		p.PresharedKey, err = hexKey(value)
	case "endpoint":
		var a netip.AddrPort
		a, err = netip.ParseAddrPort(value)
		p.Endpoint = net.UDPAddrFromAddrPort(a)
	case "last_handshake_time_sec":
		p.LastHandshakeTime = time.Unix(n, 0)
	case "last_handshake_time_nsec":
		p.LastHandshakeTime = p.LastHandshakeTime.Add(time.Duration(n))
		if p.LastHandshakeTime.UnixNano() == 0 {
			p.LastHandshakeTime = time.Time{} // none yet
		}
	case "tx_bytes":
		p.TransmitBytes = n
	case "rx_bytes":
		p.ReceiveBytes = n
	case "persistent_keepalive_interval":
		p.PersistentKeepaliveInterval = time.Duration(n) * time.Second
	case "allowed_ip":
		var allowed *net.IPNet
		if _, allowed, err = net.ParseCIDR(value); err == nil {
			p.AllowedIPs = append(p.AllowedIPs, *allowed)
		}
	}
	return err
}

func hexKey(text string) (wgtypes.Key, error) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != wgtypes.KeyLen {
		return wgtypes.Key{}, errors.New("it is no key")
	}
	return wgtypes.Key(data), nil
}

// uapiText is what config changes, as the protocol has it.
func uapiText(config wgtypes.Config) string {
	var b strings.Builder
	if config.PrivateKey != nil {
		fmt.Fprintf(&b, "private_key=%x\n", config.PrivateKey[:])
	}
	if config.ListenPort != nil {
		fmt.Fprintf(&b, "listen_port=%d\n", *config.ListenPort)
	}
	for _, p := range config.Peers {
		fmt.Fprintf(&b, "public_key=%x\n", p.PublicKey[:])
		if p.Remove {
			b.WriteString("remove=true\n")
		}
		if p.UpdateOnly {
			b.WriteString("update_only=true\n")
		}
		if p.PresharedKey != nil {
			fmt.Fprintf(&b, "preshared_key=%x\n", p.PresharedKey[:])
		}
		if p.Endpoint != nil {
			fmt.Fprintf(&b, "endpoint=%s\n", p.Endpoint)
		}
		if p.PersistentKeepaliveInterval != nil {
			fmt.Fprintf(&b, "persistent_keepalive_interval=%d\n", int(p.PersistentKeepaliveInterval.Seconds()))
		}
		if p.ReplaceAllowedIPs {
			b.WriteString("replace_allowed_ips=true\n")
		}
		for _, allowed := range p.AllowedIPs {
			fmt.Fprintf(&b, "allowed_ip=%s\n", &allowed)
		}
	}
	return b.String()
}

// Silent says whether err means that nobody listens at the socket of a userspace device, or
// that nobody answers there.
func Silent(err error) bool {
	for _, is := range []error{os.ErrNotExist, os.ErrDeadlineExceeded, unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// RemoveSocket removes what the process behind a userspace device left if it was killed.
func RemoveSocket(device string) error {
	return errors.Join(sysfile.Remove(filepath.Join(SocketDir, device+".sock")), sysfile.RemoveEmpty(SocketDir))
}

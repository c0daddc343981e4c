//go:build linux

package udptun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// answerWithin bounds an exchange on the control socket.
const answerWithin = 5 * time.Second

// request is what a caller sends: a Config to set, or nothing to read what there is.
type request struct{ Set *Config }

type reply struct {
	Config Config
	Stats  Stats
	Error  string
}

// Control opens a device's control socket, for root alone, in the place of one that
// a process left that was killed.
func Control(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the control socket: %w", err), l.Close())
	}
	return l, nil
}

// Answer answers on l until it is closed.
func (d *Device) Answer(ctx context.Context, l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen on the control socket: %w", err)
		}
		go func() {
			d.answer(ctx, c)
			_ = c.Close() // who asked has what there is
		}()
	}
}

func (d *Device) answer(ctx context.Context, c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(answerWithin))
	var ask request
	var r reply
	err := json.NewDecoder(c).Decode(&ask)
	if err == nil && ask.Set != nil {
		err = d.Set(ctx, *ask.Set)
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Config, r.Stats = d.Config(), d.Stats()
	_ = json.NewEncoder(c).Encode(r) // who asked may be gone
}

// Set sets the device with the control socket at path to c.
func Set(ctx context.Context, path string, c Config) error {
	_, _, err := ask(ctx, path, request{Set: &c})
	return err
}

// Get reads what the device with the control socket at path is set to, and its
// counters.
func Get(ctx context.Context, path string) (Config, Stats, error) { return ask(ctx, path, request{}) }

func ask(ctx context.Context, path string, q request) (Config, Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return Config{}, Stats{}, fmt.Errorf("ask the process of the UDP device: %w", err)
	}
	defer func() { _ = c.Close() }() // all is read
	_ = c.SetDeadline(time.Now().Add(answerWithin))
	var r reply
	if err := errors.Join(json.NewEncoder(c).Encode(q), json.NewDecoder(c).Decode(&r)); err != nil {
		return Config{}, Stats{}, fmt.Errorf("ask the process of the UDP device: %w", err)
	}
	if r.Error != "" {
		return r.Config, r.Stats, errors.New(r.Error)
	}
	return r.Config, r.Stats, nil
}

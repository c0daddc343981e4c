//go:build linux

package udptun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/flocknet/flock/internal/control"
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

// Answer answers Set and Get on l until it is closed or ctx ends.
func (d *Device) Answer(ctx context.Context, l net.Listener) error {
	return control.Serve(ctx, l, answerWithin, d.answer)
}

func (d *Device) answer(ctx context.Context, ask request) reply {
	var r reply
	if ask.Set != nil {
		if err := d.Set(ctx, *ask.Set); err != nil {
			r.Error = err.Error()
		}
	}
	r.Config, r.Stats = d.Config(), d.Stats()
	return r
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
	var r reply
	if err := control.Ask(ctx, path, answerWithin, q, &r); err != nil {
		return Config{}, Stats{}, fmt.Errorf("ask the process of the UDP device: %w", err)
	}
	if r.Error != "" {
		return r.Config, r.Stats, errors.New(r.Error)
	}
	return r.Config, r.Stats, nil
}

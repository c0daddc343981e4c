package option

import (
	"testing"

	"github.com/flocknet/flock/internal/state"
)

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"vpn.example.org":      "vpn.example.org:5",
		"vpn.example.org:4000": "vpn.example.org:4000",
		"192.0.2.1":            "192.0.2.1:5",
		"192.0.2.1:4000":       "192.0.2.1:4000",
		"fd00::1":              "[fd00::1]:5",
		"[fd00::1]":            "[fd00::1]:5",
		"[fd00::1]:4000":       "[fd00::1]:4000",
	} {
		if have := WithPort(endpoint, 5); have != want {
			t.Errorf("%s: want %s, have %s", endpoint, want, have)
		}
		if err := checkEndpoint(endpoint); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for _, bad := range []string{"a:b:c", "a:0", "a:65536", "fe80::1%eth0", "127.0.0.1", "-", "[", "a b"} {
		if err := checkEndpoint(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestMoved(t *testing.T) {
	was, now := &state.Server{Address: "10.0.0.1"}, &state.Server{Address: "fd00::1"}
	for from, to := range map[string]string{"": "", "10.0.0.1": "[fd00::1]", "10.0.0.1:51820": "[fd00::1]:51820", "10.0.0.11:51820": "10.0.0.11:51820", "h.example:1": "h.example:1"} {
		if got := MovedEndpoint(from, was, now); got != to {
			t.Errorf("endpoint %q: %q, want %q", from, got, to)
		}
	}
	now = &state.Server{Address: "fd00::1", Port: 2222}
	for from, to := range map[string]string{"": "", "none": "none", "a@10.0.0.1, b": "a@[fd00::1]:2222, b", "10.0.0.1:22": "10.0.0.1:22", "ssh://10.0.0.1": "[fd00::1]:2222"} {
		if got := MovedJump(from, was, now); got != to {
			t.Errorf("jump %q: %q, want %q", from, got, to)
		}
	}
}

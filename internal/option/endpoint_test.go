package option

import (
	"testing"
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

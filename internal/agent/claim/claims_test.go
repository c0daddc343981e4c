//go:build linux

package claim

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestDockerPools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	if pools, err := dockerPools(path); err != nil || pools != nil {
		t.Fatalf("without the file: %v, %v", pools, err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"bip": "172.26.0.1/16", "fixed-cidr": "172.26.128.0/17", "log-driver": "x", "default-address-pools": [{"base": "10.0.0.0/16", "size": 24}]}`)
	want := []netip.Prefix{netip.MustParsePrefix("172.26.0.0/16"), netip.MustParsePrefix("172.26.128.0/17"), netip.MustParsePrefix("10.0.0.0/16")}
	if have, err := dockerPools(path); err != nil || !reflect.DeepEqual(want, have) {
		t.Fatalf("want %v, have %v, %v", want, have, err)
	}
	write("{")
	if _, err := dockerPools(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("a file Docker cannot read either: %v", err)
	}
}

func TestFreePrefixIsPrivateAndFree(t *testing.T) {
	like := netip.MustParsePrefix("10.0.4.0/24")
	var foreign []occupant
	for _, c := range []struct{ taken, free string }{
		{"", "10.20.4.0/24"},
		{"10.20.0.0/16", "10.30.4.0/24"},
		{"10.0.0.0/8", "172.18.4.0/24"},
		{"172.16.0.0/12", "192.168.4.0/24"},
		{"192.168.0.0/16", "invalid Prefix"},
	} {
		if c.taken != "" {
			foreign = append(foreign, occupant{prefix: netip.MustParsePrefix(c.taken)})
		}
		if have := freePrefix(like, foreign).String(); have != c.free {
			t.Errorf("beside %v: want %s, have %s", foreign, c.free, have)
		}
	}
}

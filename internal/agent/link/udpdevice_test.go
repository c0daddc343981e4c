//go:build linux

package link

import (
	"context"
	"path/filepath"
	"testing"

	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/flocknet/flock/internal/control"
	"github.com/flocknet/flock/internal/udptun"
)

// A process that is told to end does so without an error: systemd calls the unit failed
// otherwise.
func TestTheProcessOfAUDPDeviceEndsWell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- carry(ctx, udptun.New(tuntest.NewChannelTUN().TUN()), l) }()
	if _, _, err := udptun.Get(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

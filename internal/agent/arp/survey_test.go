//go:build linux

package arp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// A survey finds who is there, and leaves room for what the segment carries meanwhile: its
// requests go out a few at a time.
func TestSurveyIsPaced(t *testing.T) {
	server, container := netspace.New(t), netspace.New(t)
	server.Sh("ip link add br0 up type bridge forward_delay 0; ip addr add 10.1.0.1/16 dev br0; ip link add v0 master br0 type veth peer name eth0 netns " + container.Path())
	server.Sh("ip link set v0 up")
	container.Sh("ip link set eth0 up address 02:00:00:00:00:09; ip addr add 10.1.1.9/16 dev eth0")
	// A port that has just come up forwards nothing yet.
	server.Sh("for i in $(seq 100); do ping -c 1 -W 1 10.1.1.9 >/dev/null && exit 0; done; exit 1")
	first := netip.MustParseAddr("10.1.1.0")
	server.Do(func() {
		began := time.Now()
		found, err := Survey(t.Context(), "br0", netip.MustParseAddr("10.1.0.1"), []spec.Range{{First: first, Last: netip.MustParseAddr("10.1.2.255")}})
		if err != nil || !strings.Contains(found, " 02:00:00:00:00:09 10.1.1.9 * *\n") || strings.Count(found, "\n") != 1 {
			t.Errorf("found %q, %v", found, err)
		}
		if took, least := time.Since(began), 512/surveyAtOnce*surveyPause+surveyWait; took < least {
			t.Errorf("512 addresses in %s, want no less than %s", took, least)
		}
	})
}

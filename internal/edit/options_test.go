package edit

import (
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
)

// An option that is in no table is a mistake of ours, and one of another type too.
func TestStrangeOptions(t *testing.T) {
	for name, o := range map[string]option.Options{"unknown": {"colour": "red"}, "a string for a number": {"vni": "7"}, "a number for a switch": {"gbp": int64(1)}} {
		if err := Create(cluster(t, 1), "n1", network.VXLAN, o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

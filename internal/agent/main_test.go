//go:build linux

package agent

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
)

// TestSpareGC: the first collection comes late, those after it as always.
func TestSpareGC(t *testing.T) {
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := percent()
	spareGC()
	if have := percent(); have != firstGC {
		t.Fatalf("GOGC: want %d, have %d", firstGC, have)
	}
	runtime.GC()
	poll(t, func() error {
		if have := percent(); have != before {
			return fmt.Errorf("GOGC: want %d, have %d", before, have)
		}
		return nil
	})
}

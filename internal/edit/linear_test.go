package edit

import (
	"testing"

	"github.com/flocknet/flock/internal/network"
)

// TestSharesAreLinear: four times the shares take some four times the memory to check,
// not sixteen times.
func TestSharesAreLinear(t *testing.T) {
	allocs := func(n int) float64 {
		c := sharing(t, n)
		return testing.AllocsPerRun(1, func() {
			if err := network.Complete(c); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(200), allocs(800); many > 6*few {
		t.Errorf("200 shares take %.0f allocations, 800 take %.0f", few, many)
	}
}

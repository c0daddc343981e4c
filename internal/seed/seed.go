// Package seed owns the random numbers of tests: where each run's come from, and how a
// run is repeated.
//
// It refuses to be random in secret: a test that fails names the seed it had.
package seed

import (
	"math/rand/v2"
	"os"
	"strconv"
)

// Env names the environment variable with the seed of a run that is to be repeated.
const Env = "FLOCK_SEED"

// TB is the part of testing.TB that New uses.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// New returns random numbers, other ones in each run unless Env says which, and logs how
// to repeat them.
func New(t TB) *rand.Rand {
	t.Helper()
	from := rand.Uint64()
	if value := os.Getenv(Env); value != "" {
		var err error
		if from, err = strconv.ParseUint(value, 10, 64); err != nil {
			t.Fatalf("%s: %v", Env, err)
		}
	}
	t.Logf("repeat with %s=%d", Env, from)
	return rand.New(rand.NewPCG(from, 0))
}

// Fixed returns the same numbers in each run, for processes that have no test.
func Fixed() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// Bytes returns n random bytes.
func Bytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

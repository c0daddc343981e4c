package underlay

// Of more servers than sampleAll not all pairs are tried, but each server with the sampleRing that
// come after it in a ring, and so with as many before.
const (
	sampleAll  = 50
	sampleRing = 16

	// SampledWith is with how many others each server is tried then.
	SampledWith = 2 * sampleRing
)

// Sample says with which others each server is tried; nil: with all. With all, no pair is left out,
// however many there are.
func Sample(servers []string, all bool) map[string]map[string]bool {
	if all || len(servers) <= sampleAll {
		return nil
	}
	with := map[string]map[string]bool{}
	for _, s := range servers {
		with[s] = map[string]bool{}
	}
	for i, s := range servers {
		for d := 1; d <= sampleRing; d++ {
			other := servers[(i+d)%len(servers)]
			with[s][other], with[other][s] = true, true
		}
	}
	return with
}

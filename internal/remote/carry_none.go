//go:build !carry

package remote

// carried has nothing: this executable was built without agents to carry and goes
// to servers itself.
func carried(Build) (p *packedAgent, alone bool, err error) { return nil, false, nil }

//go:build !carry

package remote

// embeddedAgent has nothing: this executable was built without agents to carry and goes
// to servers itself.
func embeddedAgent(Build) (p *packedAgent, alone bool, err error) { return nil, false, nil }

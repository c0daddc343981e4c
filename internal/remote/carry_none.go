//go:build !carry

package remote

// embeddedAgent has nothing: this executable was built without embedded agents, and is
// uploaded itself.
func embeddedAgent(Build) (p *packedAgent, alone bool, err error) { return nil, false, nil }

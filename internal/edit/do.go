package edit

import (
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Do lets edit change c and returns what the result comes to. A result that later
// commands could not work with is refused: one that does not complete or compile, and
// one in which a network is left without what it stands in. After an error c is half
// edited, and not to be saved.
//
// Every change of a cluster file goes through here: the functions that edit complete and
// compile nothing, and need not look beyond what they change.
func Do(c *state.Cluster, edit func(*state.Cluster) error) (*ground.Compiled, error) {
	before := stackedIn(c)
	if err := edit(c); err != nil {
		return nil, err
	}
	if err := stillStacked(c, before); err != nil {
		return nil, err
	}
	if err := network.Complete(c); err != nil {
		return nil, err
	}
	return network.Compile(c)
}

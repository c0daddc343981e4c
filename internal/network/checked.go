package network

import (
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Edit lets edit change c and returns what the result comes to. A result that later
// commands could not work with is refused: one that does not complete or compile, and
// one in which a network is left without what it stands in. After an error c is half
// edited, and not to be saved.
//
// Every change of a cluster file goes through here: the functions that edit complete and
// compile nothing, and need not look beyond what they change.
func Edit(c *state.Cluster, edit func(*state.Cluster) error) (*Compiled, error) {
	before := stackedIn(c)
	if err := edit(c); err != nil {
		return nil, err
	}
	if err := stillStacked(c, before); err != nil {
		return nil, err
	}
	if err := Complete(c); err != nil {
		return nil, err
	}
	return Compile(c)
}

// ofNetwork says that err is about the network called name, beside what it says of
// the place there: a key in the file, a server.
func ofNetwork(name string, err error) error { return locate("network "+name, err) }

// locate says that err belongs to where, and to the place in it that err names. A nil
// err stays nil.
func locate(where string, err error) error {
	inner, _ := hint.Of(err)
	switch {
	case inner == where || strings.HasPrefix(inner, where+","):
		return err
	case inner != "":
		where += ", " + inner
	}
	return hint.Pin(err, where)
}

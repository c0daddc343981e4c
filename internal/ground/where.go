package ground

import (
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// OfNetwork says that err is about the network called name, beside what it says of
// the place there: a key in the file, a server.
func OfNetwork(name string, err error) error { return Locate("network "+name, err) }

// Locate says that err belongs to where, and to the place in it that err names. A nil
// err stays nil.
func Locate(where string, err error) error {
	inner, _ := hint.Of(err)
	switch {
	case inner == where || strings.HasPrefix(inner, where+","):
		return err
	case inner != "":
		where += ", " + inner
	}
	return hint.Pin(err, where)
}

package hint

import "errors"

// unknown marks the error about a name that nobody has.
type unknown struct{ error }

func (u unknown) Unwrap() error { return u.error }

// Marked is what the error says.
func (u unknown) Marked() error { return u.error }

// Unknown is the error about a name of a what (server, network) that is not there, with
// what is next.
func Unknown(what, name, next string) error {
	return AsUnknown(Errorf(what+" "+name, next, "unknown %s %s", what, name))
}

// AsUnknown marks err as one about a name that nobody has.
func AsUnknown(err error) error { return unknown{err} }

// IsUnknown says whether err is about a name that nobody has.
func IsUnknown(err error) bool {
	var u unknown
	return errors.As(err, &u)
}

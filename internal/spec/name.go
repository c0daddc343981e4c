package spec

import "github.com/flocknet/flock/internal/hint"

// NameMax is the longest name of a cluster, a network or a server, in bytes: with
// prefixes and suffixes it still fits unit names, file names and link aliases.
const NameMax = 32

// CheckName refuses a name that is not safe as part of a file name, a systemd unit name,
// an nftables table name and a link alias: it starts with a letter or digit, continues
// with these, '-', '_' and '.', and has at most NameMax bytes. what says in the error
// what is named: "server", "network", "cluster". Both halves use it, so that every
// server accepts the names that the workstation accepts.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return hint.Errorf("", "give the "+what+" a name of letters and digits", "%s name is empty", what)
	case len(name) > NameMax:
		return hint.Errorf("", "choose a shorter name", "%s name %q has %d bytes, %d is the most", what, name, len(name), NameMax)
	case !isName(name):
		return hint.Errorf("", "use letters, digits, '-', '_' and '.', and start with a letter or digit",
			"%s name %q is not a name", what, name)
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != ""
}

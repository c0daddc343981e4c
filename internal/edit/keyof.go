package edit

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/option"
)

// KeyOf is what a cluster file has in the place of a flag of networks, in words where that
// is no key.
func KeyOf(flag string) string {
	all := option.All()
	if at := slices.IndexFunc(all, func(o option.Option) bool { return o.Flag() == flag || "--"+o.Key == flag }); at >= 0 {
		return all[at].Key
	}
	switch flag {
	case "--rename", "--name":
		return "the name"
	case "--addresses":
		return "subnet and allocated"
	case "-l", "-r":
		return "the member"
	}
	return strings.TrimLeft(flag, "-")
}

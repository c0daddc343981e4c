package ground

import (
	"cmp"
	"fmt"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// BornAs is the name that the MAC addresses of a server are made of: they stay when it is
// given another name.
func BornAs(c *state.Cluster, server string) string { return cmp.Or(c.Servers[server].Born, server) }

// BornNetwork is the name that the MAC addresses of a network are made of, as BornAs.
func BornNetwork(c *state.Cluster, name string) string {
	if n := c.Networks[name]; n != nil {
		return cmp.Or(n.Born, name)
	}
	return name
}

// BirthNames gives servers and networks whose name is that of another one's MAC addresses,
// which was renamed, another one for their own.
func BirthNames(c *state.Cluster) error {
	if err := birthNames("server", c.ServerNames(), func(name string) *string { return &c.Servers[name].Born }); err != nil {
		return err
	}
	return birthNames("network", c.NetworkNames(), func(name string) *string { return &c.Networks[name].Born })
}

// birthNames is BirthNames for one sort of things; born is where a thing has its own.
func birthNames(what string, names []string, born func(name string) *string) error {
	taken, there := map[string]string{}, map[string]bool{}
	for _, name := range names {
		there[name] = true
		first := *born(name)
		if first == "" {
			continue
		}
		if err := state.CheckName(what, first); err != nil {
			return hint.Pin(err, what+" "+name+", born")
		}
		if other := taken[first]; other != "" {
			return hint.Errorf(what+" "+name+", born", "leave it away in one of them", "%s and %s have their MAC addresses from one name, %s", other, name, first)
		}
		taken[first] = name
	}
	for _, name := range names {
		own := born(name)
		if *own != "" || taken[name] == "" || taken[name] == name {
			continue
		}
		for i := 2; *own == "" || taken[*own] != "" || there[*own]; i++ {
			*own = fmt.Sprintf("%s-%d", name[:min(len(name), bornMost)], i)
		}
		taken[*own] = name
	}
	return nil
}

// bornMost is how much of a name goes into another one, in bytes: a number follows, and a
// name has 32 at most.
const bornMost = 28

package edit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
)

// Cloned notes which servers share a machine id or host key, if one of them is concerned.
func Cloned(c *state.Cluster, concerned func(server string) bool) []ground.Note {
	const machine, hostKey = "machine id", "SSH host key"
	next := map[string]string{
		machine: "MAC addresses and DHCP ids are made from it; on all but one: rm -f /etc/machine-id /var/lib/dbus/machine-id, " +
			"systemd-machine-id-setup, reboot",
		hostKey: "who has it can pass for any of them; on all but one: rm /etc/ssh/ssh_host_*, ssh-keygen -A, restart sshd, " +
			"and ssh-keygen -R its address here",
	}
	type mark struct{ what, value string }
	have := map[mark][]string{}
	for _, name := range c.ServerNames() {
		if f := c.Servers[name].Facts; f != nil {
			have[mark{machine, f.Machine}] = append(have[mark{machine, f.Machine}], name)
			have[mark{hostKey, f.HostKey}] = append(have[mark{hostKey, f.HostKey}], name)
		}
	}
	var out []ground.Note
	for m, names := range have {
		if m.value != "" && len(names) > 1 && slices.ContainsFunc(names, concerned) {
			out = append(out, ground.Note{Network: strings.Join(names, ", "), Text: "they have the same " + m.what + " (a cloned image?): " + next[m.what]})
		}
	}
	slices.SortFunc(out, func(a, b ground.Note) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// SameKey is a member of a network whose WireGuard key another member has too.
type SameKey struct {
	ground.Membership
	With string // the other one
}

// SharedKeys are the members whose WireGuard key another one of their network has. Of members
// with one key, the one keeps it that had it before (Keys).
func SharedKeys(c *state.Cluster, before map[ground.Membership]string) []SameKey {
	var out []SameKey
	for _, name := range c.NetworkNames() {
		n, owner := c.Networks[name], map[string]string{}
		servers := slices.Sorted(maps.Keys(n.Allocated))
		isNew := func(server string) int {
			if before[ground.Membership{Server: server, Network: name}] == n.Allocated[server].Key {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(servers, func(a, b string) int { return cmp.Compare(isNew(a), isNew(b)) })
		for _, server := range servers {
			switch key := n.Allocated[server].Key; {
			case key == "":
			case owner[key] == "":
				owner[key] = server
			default:
				out = append(out, SameKey{ground.Membership{Server: server, Network: name}, owner[key]})
			}
		}
	}
	return out
}

// Keys are the public keys of all members.
func Keys(c *state.Cluster) map[ground.Membership]string {
	out := map[ground.Membership]string{}
	for name, n := range c.Networks {
		for server, a := range n.Allocated {
			if a.Key != "" {
				out[ground.Membership{Server: server, Network: name}] = a.Key
			}
		}
	}
	return out
}

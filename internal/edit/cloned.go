package edit

import (
	"cmp"
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

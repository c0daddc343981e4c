package explain

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// linkSettings are settings of devices of the network, which go with them.
func (w *writer) linkSettings() error {
	var commands []string
	for _, s := range w.own.Sysctls {
		if s.Link != "" {
			commands = append(commands, "sysctl -q -e -w "+word(s.Key+"="+s.Value))
		}
	}
	if len(commands) > 0 {
		w.build("Settings of these devices: the bridge answers ARP for its own addresses alone and believes no router, and a\ntunnel port has no addresses. (-e: a kernel without IPv6 lacks some of them.)", commands...)
	}
	return nil
}

// forwardsIPv6 is the setting with which a kernel stops listening to routers.
const forwardsIPv6 = "net/ipv6/conf/all/forwarding"

// settings are those of the whole server. What they were is noted for what undoes them.
func (w *writer) settings() error {
	var keys, set, stay []string
	for _, s := range w.own.Sysctls {
		if s.Link != "" {
			continue
		}
		keys = append(keys, s.Key)
		set = append(set, "sysctl -q -w "+word(s.Key+"="+s.Value))
		if w.othersNeed(s.Key) {
			stay = append(stay, s.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	note := "/run/explain-" + w.full.Cluster + "-" + w.Network + ".sysctl"
	about := "The server passes packets on. That is a setting of the whole server, which all networks share: what it was is\nnoted in a file, for what undoes this."
	commands := []string{"[ -e " + word(note) + " ] || sysctl " + strings.Join(keys, " ") + " >" + word(note)}
	if slices.Contains(keys, forwardsIPv6) {
		about += "\nA server that forwards IPv6 forgets the routers that it learned unless accept_ra is 2."
		commands = append(commands,
			`for dev in $(ip -6 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u); do`,
			`	[ "$(cat "/proc/sys/net/ipv6/conf/$dev/accept_ra")" = 1 ] || continue`,
			`	sysctl "net/ipv6/conf/$dev/accept_ra" >>`+word(note),
			`	sysctl -q -w "net/ipv6/conf/$dev/accept_ra=2"`,
			`done`)
	}
	w.build(about, append(commands, set...)...)
	if len(stay) > 0 {
		w.undo("Other networks of this server need " + strings.Join(stay, " and ") + ": what that was stands in " + note + ".")
		return nil
	}
	w.undo("Settings of the server, as they were.", "if [ -e "+word(note)+" ]; then", "	sysctl -q -p "+word(note), "	rm "+word(note), "fi")
	return nil
}

// othersNeed says whether something else on the server asks for a setting too.
func (w *writer) othersNeed(key string) bool {
	if len(w.full.Links)+len(w.full.Routes)+len(w.full.Forwards) == len(w.own.Links)+len(w.own.Routes)+len(w.own.Forwards) {
		return false
	}
	return slices.ContainsFunc(w.full.Sysctls, func(s spec.Sysctl) bool { return s.Key == key && s.Link == "" })
}

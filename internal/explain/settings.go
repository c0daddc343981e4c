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

// Settings of the whole server. With that of IPv6 a kernel stops listening to routers.
const (
	forwardsIPv4 = "net/ipv4/ip_forward"
	forwardsIPv6 = "net/ipv6/conf/all/forwarding"
)

// settings are those of the whole server. What they were is noted for what undoes them.
func (w *writer) settings() error {
	var keys, set, stay []string
	for _, s := range w.own.Sysctls {
		if s.Link != "" {
			continue
		}
		keys = append(keys, s.Key)
		set = append(set, "sysctl -q -w "+word(s.Key+"="+s.Value))
		if slices.Contains(w.kept, s.Key) {
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
		about += "\nA server that begins to forward IPv6 forgets the routers that it learned unless accept_ra is 2."
		commands = append(commands,
			`[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ] || for dev in $(ip -6 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u); do`,
			`	[ "$dev" != lo ] && [ ! -e "/sys/class/net/$dev/master" ] && [ "$(cat "/proc/sys/net/ipv6/conf/$dev/accept_ra")" = 1 ] || continue`,
			`	sysctl "net/ipv6/conf/$dev/accept_ra" >>`+word(note),
			`	sysctl -q -w "net/ipv6/conf/$dev/accept_ra=2"`,
			`done`)
	}
	w.build(about, append(commands, set...)...)
	if len(stay) > 0 {
		w.undo("Other networks of this server, or its own subnet, need " + strings.Join(stay, " and ") + ": what that was stands in " + note + ".")
	}
	if len(stay) == len(keys) {
		return nil
	}
	read := "sysctl -q -e -p " + word(note)
	if len(stay) > 0 {
		read = "grep -vF '" + strings.Join(dotted(stay), "\n") + "' " + word(note) + " | sysctl -q -e -p -"
	}
	w.undo("Settings of the server, as they were.", "if [ -e "+word(note)+" ]; then", "	"+read, "	rm "+word(note), "fi")
	return nil
}

// dotted are the beginnings of lines about keys, as sysctl(8) prints them.
func dotted(keys []string) []string {
	var out []string
	for _, k := range keys {
		out = append(out, strings.ReplaceAll(k, "/", ".")+" =")
		if k == forwardsIPv6 {
			out = append(out, ".accept_ra =") // goes with it
		}
	}
	return out
}

// kept are the settings of the whole server that other networks ask for, or its own subnet.
func kept(full *spec.Host, others []*spec.Host) []string {
	var out []string
	for _, h := range others {
		for _, s := range h.Sysctls {
			if s.Link == "" {
				out = append(out, s.Key)
			}
		}
	}
	for _, l := range full.Links {
		if l.Network == "subnet" {
			out = append(out, forwardsIPv4)
		}
	}
	return out
}

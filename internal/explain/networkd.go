package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// networkdDir is where administrators' files of systemd-networkd are.
const networkdDir = "/etc/systemd/network"

// Networkd is the script that writes the files of systemd-networkd (systemd.netdev(5),
// systemd.network(5)) for what that can do of a network, and says what it cannot. It is empty where
// networkd can do nothing, as without a device of the network.
func Networkd(full, asked *spec.Host, network string) *Script {
	w := &writer{full: full, own: belonging(full, asked, network)}
	w.Network, w.Server, w.Generation, w.networkd = network, full.Server, full.Generation, true
	var paths []string
	made := 0
	for _, l := range w.own.Links {
		netdev, about := netdevOf(l)
		if netdev == "" {
			w.beyond(l.Name+": "+about, "")
			continue
		}
		at := networkdDir + "/50-flock-" + full.Cluster + "-" + l.Name
		var commands []string
		if l.Kind == spec.WireGuard {
			netdev += "\n" + w.networkdPeers(l, at+".key")
			paths = append(paths, at+".key")
			commands = append(commands, "[ -s "+word(at+".key")+" ] || (umask 077 && wg genkey >"+word(at+".key")+")",
				"chgrp systemd-network "+word(at+".key"), "chmod 640 "+word(at+".key"))
			about += ". Where there is no key, one is made: then the other members must be told its public\nkey (wg show " + l.Name + " public-key) in the place of\n" + l.Key
		}
		paths = append(paths, at+".netdev", at+".network")
		w.build(about+".", append(commands, file(at+".netdev", netdev), file(at+".network", w.networkOf(l, made == 0)))...)
		w.undo("", "ip link del dev "+word(l.Name))
		made++
	}
	if len(paths) == 0 {
		return &Script{Network: network, Server: full.Server}
	}
	w.Build = slices.Insert(w.Build, 0, Step{"", []string{"mkdir -p " + networkdDir}})
	w.elsewhere()
	const reload = "if systemctl is-active --quiet systemd-networkd 2>/dev/null; then networkctl reload; fi"
	w.build("systemd-networkd takes them: at once, or when it begins (systemctl enable --now systemd-networkd).", reload)
	w.undo("The files, and the devices.", "rm -f "+line(paths...), reload)
	slices.Reverse(w.Undo)
	return &w.Script
}

// beyond says what networkd cannot do.
func (w *writer) beyond(what, why string) {
	if why != "" {
		what += ": " + why
	}
	w.build("Not by networkd: " + what)
}

// netdevOf is a file that makes a device, and a word on it; "": networkd makes none, and why.
func netdevOf(l spec.Link) (netdev, about string) {
	t := l.Tunnel
	if t == nil {
		t = &spec.Tunnel{}
	}
	s := &sections{}
	kind := l.Kind
	s.begin("NetDev", "Name", l.Name, "Kind", kind, "MACAddress", l.MAC, "MTUBytes", num(l.MTU))
	switch kind {
	case spec.Bridge:
		about = "The bridge that containers are plugged into"
		s.begin("Bridge", "STP", "no", "ForwardDelaySec", "0 ")
	case spec.VXLAN:
		if t.Group.IsValid() || t.Dev != "" {
			return "", "a VXLAN device on another one is made by the file of that one, which is not flock's:\na line VXLAN=" + l.Name + " in its [Network]"
		}
		about = "The VXLAN device"
		// What networkd sets where nothing is said differs from the kernel: no learning, no checksums.
		s.begin("VXLAN", "VNI", num(int(t.VNI)), "DestinationPort", num(int(t.Port)), "Local", text(t.Local), "TTL", num(int(t.TTL)),
			"MacLearning", yesNo(!t.Static), "UDPChecksum", "yes", "GroupPolicyExtension", yesNo(t.GBP), "Independent", "yes")
	case spec.Port:
		return "", "a port is made by its own file, which is not flock's:\na line Bridge=" + l.Master + " in its [Network]"
	case spec.VLAN:
		return "", "a VLAN on an interface is made by the file of that one, which is not flock's:\na line VLAN=" + l.Name + " in its [Network]"
	case spec.WireGuard:
		about = "The WireGuard device. networkd reads the key as the user systemd-network"
	case spec.GRE, spec.IP6GRE, spec.IPIP:
		about = "The tunnel device"
		remote, limit, mtu := text(t.Remote), "", "yes"
		if remote == "" {
			remote = "any"
		}
		if kind == spec.IP6GRE {
			limit, mtu = "none", ""
		}
		key := ""
		if t.Key != 0 {
			key = fmt.Sprint(t.Key)
		}
		s.begin("Tunnel", "Local", text(t.Local), "Remote", remote, "TTL", num(int(t.TTL))+" ", "Key", key, "EncapsulationLimit", limit, "DiscoverPathMTU", mtu, "Independent", yesNo(t.Dev == ""))
		if t.Dev != "" {
			return "", "a tunnel on a device is made by the file of that one, which is not flock's:\na line Tunnel=" + l.Name + " in its [Network]"
		}
	default:
		return "", "a process of flock's agent makes it and sends its packets"
	}
	return s.String(), about
}

// networkOf is the file that sets a device up: addresses, neighbours, forwarding entries, routes.
// What is refused whatever the device goes with the first.
func (w *writer) networkOf(l spec.Link, first bool) string {
	s := &sections{}
	s.begin("Match", "Name", l.Name)
	s.begin("Link", "MTUBytes", num(l.MTU), "RequiredForOnline", "no")
	local := ""
	for _, set := range w.own.Sysctls {
		if set.Key == "net/ipv6/conf/"+l.Name+"/disable_ipv6" && set.Value == "1" || l.Kind == spec.WireGuard {
			local = "no"
		}
	}
	s.begin("Network", "Bridge", l.Master, "ConfigureWithoutCarrier", "yes", "LinkLocalAddressing", local, "IPv6AcceptRA", "no", "LLDP", "no")
	addrs := of(w.own.Addrs, func(a spec.Addr) bool { return a.Link == l.Name })
	slices.SortFunc(addrs, func(a, b spec.Addr) int { return byTurn(a.Prefix, b.Prefix) })
	for _, a := range addrs {
		broadcast, preferred, detect := "", "", ""
		switch six := a.Prefix.Addr().Is6(); {
		case six && a.Prefix.IsSingleIP() && l.Kind == spec.Bridge:
			preferred, detect = "0 ", "none" // never a source: every member has it
		case six:
			detect = "none"
		case a.Prefix.Bits() < 31:
			broadcast = "yes"
		}
		s.begin("Address", "Address", a.Prefix.String(), "Broadcast", broadcast, "PreferredLifetime", preferred, "DuplicateAddressDetection", detect)
	}
	for _, n := range w.own.Neighs {
		if n.Link == l.Name {
			s.begin("Neighbor", "Address", n.IP.String(), "LinkLayerAddress", n.MAC)
		}
	}
	for _, f := range w.own.AllFDB() {
		if f.Link == l.Name {
			s.begin("BridgeFDB", "MACAddress", f.MAC, "Destination", f.Dst.String(), "AssociatedWith", "self")
		}
	}
	for _, r := range w.own.Routes {
		switch {
		case r.Unreachable && first:
			s.begin("Route", "Destination", r.Dst.String(), "Type", "unreachable", "Metric", num(spec.UnreachableMetric), "Protocol", num(int(r.Proto)))
		case !r.Unreachable && r.Dev == l.Name:
			onlink := ""
			if r.Onlink {
				onlink = "yes"
			}
			s.begin("Route", "Destination", r.Dst.String(), "Gateway", text(r.Via), "GatewayOnLink", onlink, "Scope", scopeOf(r.Via, r.Dst), "PreferredSource", text(r.Src), "MTUBytes", num(r.MTU), "Protocol", num(int(r.Proto)))
		}
	}
	return s.String()
}

// scopeOf is that of an IPv4 route without a gateway.
func scopeOf(via netip.Addr, dst netip.Prefix) string {
	if via.IsValid() || dst.Addr().Is6() {
		return ""
	}
	return "link"
}

// networkdPeers are the sections of WireGuard.
func (w *writer) networkdPeers(l spec.Link, key string) string {
	s := &sections{}
	s.begin("WireGuard", "PrivateKeyFile", key, "ListenPort", portText(l.Port))
	for _, p := range w.own.Peers {
		if p.Link != l.Name {
			continue
		}
		var allowed []string
		for _, a := range p.Allowed {
			allowed = append(allowed, a.String())
		}
		if strings.HasPrefix(p.Key, "(") { // spec.PlannedKey
			s.note("a peer is missing: " + p.Key)
			continue
		}
		s.begin("WireGuardPeer", "PublicKey", p.Key, "Endpoint", p.Endpoint, "PersistentKeepalive", num(p.Keepalive), "AllowedIPs", strings.Join(allowed, ","))
	}
	return s.String()
}

// elsewhere says what of a network is not networkd's.
func (w *writer) elsewhere() {
	h := w.own
	see := "flock explain " + w.Network + " " + w.Server + " has the commands."
	for _, r := range h.Routes {
		if !r.Unreachable && w.kindOf(r.Dev) == "" {
			w.beyond("routes by "+r.Dev+", in whose file they belong, which is not flock's", see)
			break
		}
	}
	for _, one := range []struct {
		what string
		has  bool
	}{
		{"packet filters: what they keep out is not kept out without them", len(h.Gateways)+len(h.Guards)+len(h.Doors)+len(h.NATs)+len(h.Keeps)+len(h.Forwards) > 0},
		{"settings of the kernel (forwarding, and others)", len(h.Sysctls) > 0},
		{"DHCP and DNS", len(h.DHCPs) > 0},
		{"interfaces of containers, networks of Docker, subnet.env", len(h.Attached)+len(h.Dockers)+len(h.Envs) > 0},
		{"BGP", h.BGP != nil},
	} {
		if one.has {
			w.beyond(one.what, see)
		}
	}
	w.beyond("the mark (alias) by which flock knows its devices: it takes these for somebody else's", "")
}

// sections are the text of a file of systemd.
type sections struct{ strings.Builder }

// begin adds a section of keys and values in turn; an empty value, and 0 without a space, leaves its key out.
func (s *sections) begin(name string, words ...string) {
	if s.Len() > 0 {
		s.WriteByte('\n')
	}
	s.WriteString("[" + name + "]\n")
	for ; len(words) > 1; words = words[2:] {
		if words[1] != "" && words[1] != "0" {
			s.WriteString(words[0] + "=" + strings.TrimSpace(words[1]) + "\n")
		}
	}
}

func (s *sections) note(text string) { s.WriteString("\n# " + text + "\n") }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

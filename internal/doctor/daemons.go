package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// dnsmasq is missing, or old, where addresses are handed out.
func dnsmasq(s *Server, _ *Facts) []Finding {
	if len(s.Want.DHCPs) == 0 {
		return nil
	}
	has := s.ran("dnsmasq")
	if has == "" {
		return []Finding{{
			What: "dnsmasq is not installed",
			Why:  fmt.Sprintf("network %s hands out addresses here", s.Want.DHCPs[0].Network),
			Fix:  s.install("dnsmasq-base", "dnsmasq"),
		}}
	}
	_, version, _ := strings.Cut(has, "ersion ")
	if !older(version, 2, 81) {
		return nil
	}
	return []Finding{{
		What: "dnsmasq is older than 2.81",
		Why:  "it gives containers that were made from one image one address",
		Fix:  s.install("dnsmasq-base", "dnsmasq"),
	}}
}

// dnsHolder has port 53 of every address, those of bridges to come too.
func dnsHolder(s *Server, _ *Facts) []Finding {
	who := s.Seen.DNS
	if s.ran("named") == "any" {
		who = "named" // it opens a socket per address, and looks for new ones (listen-on in named.conf)
	}
	if who == "" {
		return nil
	}
	f := Finding{
		What: who + " has port 53 of every address",
		Why:  "networks that hand out addresses answer DNS at addresses of their own, and cannot begin to",
		Fix:  "ss -lntup 'sport = :53'",
	}
	switch who {
	case "dnsmasq":
		bridges := []string{"vxl*", "vpl*", "app0"}
		for _, d := range s.Want.DHCPs {
			if !strings.HasPrefix(d.Bridge, "vxl") && !strings.HasPrefix(d.Bridge, "vpl") && d.Bridge != "app0" {
				bridges = append(bridges, d.Bridge)
			}
		}
		f.Fix = `printf 'bind-dynamic\n` + "except-interface=" + strings.Join(bridges, `\nexcept-interface=`) + `\n' >/etc/dnsmasq.d/flock-bridges.conf && systemctl restart dnsmasq`
	case "named":
		listen := "127.0.0.1;"
		for _, i := range s.Facts.Interfaces {
			for _, p := range i.Addrs {
				if p.Addr().Is4() {
					listen += " " + p.Addr().String() + ";"
				}
			}
		}
		f.Fix = `sed -i 's/^options {/&\n\tlisten-on { ` + listen + ` };/' /etc/bind/named.conf.options && systemctl restart named`
	}
	return []Finding{f}
}

// networkManager has taken up devices of ours.
func networkManager(s *Server, _ *Facts) []Finding {
	var out []Finding
	for line := range strings.Lines(s.ran("nm")) {
		dev, state, _ := strings.Cut(strings.TrimSpace(line), ":")
		if s.ours(dev) && !strings.HasPrefix(state, "unmanaged") {
			out = append(out, Finding{
				What: "NetworkManager manages " + dev + " (" + state + ")",
				Why:  "it takes addresses and routes away that it does not know",
				Fix:  hint.Shell("nmcli", "device", "set", dev, "managed", "no"), Safe: true,
			})
		}
	}
	return out
}

// ours says whether a device bears flock's mark.
func (s *Server) ours(name string) bool {
	return slices.ContainsFunc(s.devices(), func(d device) bool { return d.name == name && strings.HasPrefix(d.alias, spec.AliasPrefix) })
}

// networkd takes routes of ours away that are on its own devices (systemd#19106).
func networkd(s *Server, _ *Facts) []Finding {
	if s.ran("networkd") == "" || s.keepsForeign() {
		return nil
	}
	dev := ""
	for _, r := range s.Want.Routes {
		if r.Dev != "" && !slices.ContainsFunc(s.Want.Links, func(l spec.Link) bool { return l.Name == r.Dev }) {
			dev = r.Dev
			break
		}
	}
	if dev == "" && s.Want.BGP != nil {
		dev, _ = s.underlay()
	}
	if dev == "" {
		return nil
	}
	return []Finding{{
		What: "systemd-networkd removes routes that it did not make",
		Why:  "when it restarts, routes of ours on " + dev + " go",
		Fix: "mkdir -p /etc/systemd/networkd.conf.d && " +
			`printf '[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n' >/etc/systemd/networkd.conf.d/90-foreign-routes.conf`,
		Safe: true,
	}}
}

// keepsForeign says whether networkd is told to leave others' routes alone, when it starts next.
func (s *Server) keepsForeign() bool {
	keeps := false
	for _, path := range append([]string{"/etc/systemd/networkd.conf"}, s.matching("/etc/systemd/networkd.conf.d/*.conf")...) {
		for line := range strings.Lines(s.text(path)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == "ManageForeignRoutes" {
				keeps = slices.Contains([]string{"no", "false", "off", "0"}, strings.ToLower(strings.TrimSpace(value)))
			}
		}
	}
	return keeps
}

// byChance is how a MAC came that the kernel made up (linux netdevice.h, NET_ADDR_RANDOM).
const byChance = 1

// macPolicy are devices of ours whose MAC udev may change, which it does where the kernel made it
// up (flannel#1155).
func macPolicy(s *Server, _ *Facts) []Finding {
	policy := slices.ContainsFunc(append(s.matching("/etc/systemd/network/*.link"), "/usr/lib/systemd/network/99-default.link"), func(path string) bool {
		return strings.Contains(s.text(path), "MACAddressPolicy=persistent")
	})
	var out []Finding
	for _, d := range s.devices() {
		if policy && s.number("/sys/class/net/"+d.name+"/addr_assign_type") == byChance && s.ours(d.name) && (d.kind == spec.Bridge || d.kind == spec.VXLAN) {
			out = append(out, Finding{
				What: "udev may give " + d.name + " another MAC (MACAddressPolicy=persistent)",
				Why:  "frames to the MAC that other members know are dropped",
				Fix:  fmt.Sprintf(`printf '[Match]\nOriginalName=%s\n[Link]\nMACAddressPolicy=none\n' >/etc/systemd/network/10-mac-%s.link`, d.name, d.name),
			})
		}
	}
	return out
}

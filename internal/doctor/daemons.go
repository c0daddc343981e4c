package doctor

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// dnsmasq is missing where addresses are handed out.
func dnsmasq(s *Server, _ *Facts) []Finding {
	if len(s.Want.DHCPs) == 0 || s.ran("dnsmasq") != "" {
		return nil
	}
	return []Finding{{
		What: "dnsmasq is not installed",
		Why:  fmt.Sprintf("network %s hands out addresses here", s.Want.DHCPs[0].Network),
		Fix:  s.install("dnsmasq-base", "dnsmasq"),
	}}
}

// hangs are programs that do not read what comes to the ports of DNS and DHCP, on a server that answers
// there.
func hangs(s *Server, _ *Facts) []Finding {
	var out []Finding
	for line := range strings.Lines(s.ran("queues")) {
		_, users, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, rest, _ := strings.Cut(strings.TrimPrefix(users, `users:(("`), `"`)
		pid, _, _ := strings.Cut(strings.TrimPrefix(rest, ",pid="), ",")
		if _, err := strconv.Atoi(pid); err != nil || len(s.Want.DHCPs) == 0 || slices.ContainsFunc(out, func(f Finding) bool { return f.Object == pid }) {
			continue
		}
		out = append(out, Finding{
			Object: pid, What: name + " (process " + pid + ") does not read what comes to the ports of DNS and DHCP",
			Why: "containers get no addresses and no names from it: it hangs, or was stopped",
			Fix: "kill -KILL " + pid, Then: "flock apply",
		})
	}
	return out
}

// dnsHolder has port 53 of every address, those of bridges too, on a server that answers DNS there.
func dnsHolder(s *Server, _ *Facts) []Finding {
	if len(s.Want.DHCPs) == 0 {
		return nil
	}
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
		four, six := "", ""
		for _, p := range s.answering() {
			if p.Addr().Is4() {
				four += "!" + p.String() + "; "
			} else {
				six += "!" + p.String() + "; "
			}
		}
		// The first that an address matches decides: what is excepted stands before "any".
		f.Fix = `f=$(grep -rlsE '^[[:space:]]*listen-on[^-{]*[{][[:space:]]*any;' /etc/bind /etc/named.conf | sed q); ` +
			`if test "$f"; then grep -q any $f && sed -i 's,^\([[:space:]]*listen-on[^-{]*[{][[:space:]]*\)any;,\1` + four + `any;,;s,listen-on-v6 *{ *any;,listen-on-v6 { ` + six + `any;,' $f && systemctl restart named; else ` +
			"f=$(ls /etc/bind/named.conf.options 2>/dev/null || echo /etc/named.conf); " +
			`grep -q listen-on-v6 $f || sed -i 's/^options {/&\n\tlisten-on-v6 { any; };/' $f; ` +
			`grep -q '^options {' $f && sed -i 's,^options {,&\n\tlisten-on { ` + four + `any; };,;s,listen-on-v6 *{ *any;,listen-on-v6 { ` + six + `any;,' $f && systemctl restart named; fi`
	}
	return []Finding{f}
}

// answering are the prefixes of all addresses of bridges where DNS is answered, each once: dnsmasq
// takes the port of every one.
func (s *Server) answering() []netip.Prefix {
	out := []netip.Prefix{netip.MustParsePrefix("fe80::/10")}
	add := func(p netip.Prefix) {
		if !slices.ContainsFunc(out, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }) {
			out = append(out, p)
		}
	}
	for _, d := range s.Want.DHCPs {
		for _, a := range s.Want.Addrs {
			if a.Link == d.Bridge {
				add(a.Prefix.Masked())
			}
		}
		for _, a := range d.Listen {
			add(netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// networkManager has taken up devices of ours.
func networkManager(s *Server, _ *Facts) []Finding {
	var out []Finding
	for line := range strings.Lines(s.ran("nm")) {
		dev, state, _ := strings.Cut(strings.TrimSpace(line), ":")
		// What it found configured is "(externally)" so, and it leaves that alone.
		if s.ours(dev) && strings.HasPrefix(state, "connect") && !strings.HasSuffix(state, "(externally)") {
			out = append(out, Finding{
				Object: dev, What: "NetworkManager manages " + dev + " (" + state + ")",
				Why: "it takes addresses and routes away that it does not know; when it lets go it takes the device down, until the apply",
				Fix: hint.Shell("nmcli", "device", "set", dev, "managed", "no"), Then: "flock apply",
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
			`printf '[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n' >/etc/systemd/networkd.conf.d/zz-flock-foreign-routes.conf`,
		Safe: true,
	}}
}

// keepsForeign says whether networkd is told to leave others' routes alone, when it starts next.
func (s *Server) keepsForeign() bool {
	keeps := false
	added := slices.Concat(s.matching("/etc/systemd/networkd.conf.d/*.conf"), s.matching("/run/systemd/networkd.conf.d/*.conf"), s.matching("/usr/lib/systemd/networkd.conf.d/*.conf"))
	slices.SortStableFunc(added, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	// Of one name the first directory's holds (systemd-networkd.conf(5)).
	added = slices.CompactFunc(added, func(a, b string) bool { return path.Base(a) == path.Base(b) })
	for _, path := range append([]string{"/etc/systemd/networkd.conf"}, added...) {
		for line := range strings.Lines(s.text(path)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == "ManageForeignRoutes" {
				keeps = slices.Contains([]string{"no", "false", "off", "0"}, strings.ToLower(strings.TrimSpace(value)))
			}
		}
	}
	return keeps
}

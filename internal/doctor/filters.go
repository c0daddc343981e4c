package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Families of tables (linux nfproto).
const (
	inet = 1
	ip4  = 2
	ip6  = 10
)

// family is that of a chain's table, as nft names it.
func family(c spec.Chain) string {
	return map[int]string{inet: "inet", ip4: "ip", 3: "arp", 5: "netdev", 7: "bridge", ip6: "ip6"}[c.Family]
}

// table is that of a chain, as nft names it.
func table(c spec.Chain) string { return family(c) + " " + c.Table }

// beside are the chains of one table.
func (s *Server) beside(c spec.Chain) []spec.Chain {
	return slices.DeleteFunc(slices.Clone(s.Seen.Chains), func(o spec.Chain) bool { return table(o) != table(c) })
}

// whose is the program that made a chain, by the names beside it; "" if they do not tell.
func (s *Server) whose(c spec.Chain) string {
	begins := func(prefix string) bool {
		return slices.ContainsFunc(s.beside(c), func(o spec.Chain) bool { return strings.HasPrefix(o.Name, prefix) })
	}
	switch {
	case c.Table == "firewalld":
		return "firewalld"
	case c.Table == "docker-bridges":
		return "Docker"
	case c.Table == "libvirt_network":
		return "libvirt"
	case begins("ufw-"), begins("ufw6-"):
		return "ufw"
	case begins("DOCKER"):
		return "Docker"
	case begins("LIBVIRT_"):
		return "libvirt"
	case begins("KUBE-"):
		return "Kubernetes"
	}
	return ""
}

// named is a chain with whose it is.
func (s *Server) named(c spec.Chain) string {
	text := "chain " + table(c) + " " + c.Name
	if who := s.whose(c); who != "" {
		text += " (" + who + "'s)"
	}
	return text
}

// sees says whether the tables of a chain's family see packets of a network.
func (s *Server) sees(c spec.Chain, w spec.Forward) bool {
	six := w.Subnet.Addr().Is6() || w.Link != "" && slices.ContainsFunc(s.Want.Addrs, func(a spec.Addr) bool {
		return a.Link == w.Link && a.Prefix.Addr().Is6() && a.Prefix.Addr().IsGlobalUnicast()
	})
	return c.Family == inet || c.Family == ip4 && !w.Subnet.Addr().Is6() || c.Family == ip6 && six
}

// barred are networks whose packets a chain sees, and has no accept for.
func (s *Server) barred(c spec.Chain, cluster string) []string {
	var accepts, out []string
	for _, o := range s.beside(c) {
		accepts = append(accepts, o.Accepts...)
	}
	for _, w := range s.Want.Forwards {
		if c.Refuses && (slices.Contains(c.Lets, way(w)) || s.zoned(w)) {
			continue
		}
		if s.sees(c, w) && !slices.Contains(out, w.Network) && !slices.Contains(accepts, spec.Alias(cluster, w.Network)) {
			out = append(out, w.Network)
		}
	}
	return out
}

// zoned says whether firewalld lets a network's packets pass: by a bridge of its, or by the
// subnets behind a tunnel, whose device stays in the zone by which servers reach each other.
func (s *Server) zoned(w spec.Forward) bool {
	if w.Link == "" || s.lets(w.Link) || slices.ContainsFunc(s.Want.Links, func(l spec.Link) bool { return l.Name == w.Link && l.Kind == spec.Bridge }) {
		return s.lets(way(w))
	}
	return len(s.zones()) > 0 && !slices.ContainsFunc(s.Want.Routes, func(r spec.Route) bool {
		return r.Dev == w.Link && !r.Unreachable && !s.lets(r.Dst.String())
	})
}

// strange says whether firewalld has a device or prefix in a zone that is not flock's: an
// administrator put it there, and flock leaves it.
func (s *Server) strange(way string) bool {
	return slices.ContainsFunc(s.zones(), func(z zone) bool {
		return !strings.HasSuffix(z.name, "-flock") && (slices.Contains(z.devices, way) || slices.Contains(z.sources, way))
	})
}

// forwardChains drop what is forwarded, and no rule lets networks of ours pass.
func forwardChains(s *Server, f *Facts) []Finding {
	var out []Finding
	for _, c := range s.Seen.Chains {
		lost := s.barred(c, f.Cluster.Name)
		if !c.Forward || !c.Drops && !c.Refuses || len(lost) == 0 {
			continue
		}
		one := Finding{
			Object: table(c) + " " + c.Name, What: fmt.Sprintf("%s drops forwarded packets, and has no rule that accepts those of %s", s.named(c), strings.Join(lost, ", ")),
			Why: "containers there reach neither each other across servers nor the outside",
			Fix: f.apply(lost), Here: true,
		}
		if c.Refuses {
			one.What = fmt.Sprintf("the last rule of %s refuses what is forwarded, that of %s too", s.named(c), strings.Join(lost, ", "))
			if s.whose(c) != "firewalld" || slices.ContainsFunc(s.Want.Forwards, func(w spec.Forward) bool { return slices.Contains(lost, w.Network) && s.strange(way(w)) }) {
				one.Here, one.Fix = false, s.admit(c, lost)
			}
		}
		out = append(out, one)
	}
	return out
}

// apply is the line that makes networks as they should be; a server's own bridge is none.
func (f *Facts) apply(networks []string) string {
	if slices.ContainsFunc(networks, func(n string) bool { return f.Cluster.Networks[n] == nil }) {
		return "flock apply"
	}
	return "flock apply " + strings.Join(networks, " ")
}

// way is what a network's packets are known by: a device, or a prefix.
func way(w spec.Forward) string {
	if w.Link != "" {
		return w.Link
	}
	return w.Subnet.String()
}

// admit is a line by which a chain that ends with a refusal lets the packets of networks pass.
func (s *Server) admit(c spec.Chain, networks []string) string {
	var lines []string
	for _, w := range s.Want.Forwards {
		if !slices.Contains(networks, w.Network) || !s.sees(c, w) {
			continue
		}
		option, sides := "--change-interface=", []string{"iifname", "oifname"}
		if w.Link == "" {
			option, sides = "--change-source=", []string{"ip saddr", "ip daddr"}
			if w.Subnet.Addr().Is6() {
				sides = []string{"ip6 saddr", "ip6 daddr"}
			}
		}
		if s.whose(c) == "firewalld" {
			lines = append(lines, "firewall-cmd --permanent --zone=trusted "+option+way(w), "firewall-cmd --zone=trusted "+option+way(w))
			continue
		}
		for _, side := range sides {
			lines = append(lines, fmt.Sprintf("nft insert rule %s %s %s %s accept", family(c), hint.Shell(c.Table, c.Name), side, way(w)))
		}
	}
	return strings.Join(lines, " && ")
}

// dockerBackend is Docker from 29 on with rules of nftables: it does not switch forwarding on, and
// what its iptables rules set up before stays (moby#50566).
func dockerBackend(s *Server, _ *Facts) []Finding {
	has := s.ran("docker")
	_, version, _ := strings.Cut(has, "version ")
	if version == "" || older(version, 29, 0) || !strings.Contains(has, `"nftables"`) {
		return nil
	}
	var out []Finding
	if s.text(forwardingFile) == "0" {
		out = append(out, Finding{
			Object: "forwarding", What: "Docker uses nftables, and net.ipv4.ip_forward is 0",
			Why: "from version 29 on Docker does not switch forwarding on with that backend: its containers reach nothing",
			Fix: set("net.ipv4.ip_forward", "1"), Safe: true,
		})
	}
	for _, c := range s.Seen.Chains {
		if c.Forward && c.Drops && c.Name == "FORWARD" && s.whose(c) == "Docker" {
			out = append(out, Finding{
				Object: table(c), What: s.named(c) + " drops forwarded packets, and Docker uses nftables now",
				Why: "the policy is left from its iptables rules, and nobody takes it back",
				Fix: map[bool]string{true: "ip6tables", false: "iptables"}[c.Family == ip6] + " -P FORWARD ACCEPT",
			})
		}
	}
	return out
}

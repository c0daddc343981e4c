package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// overlaps are bridges of others in subnets of the cluster's networks.
func overlaps(s *Server, f *Facts) []Finding {
	var out []Finding
	for _, d := range s.devices() {
		if d.kind != spec.Bridge || strings.HasPrefix(d.alias, spec.AliasPrefix) {
			continue
		}
		for _, at := range d.addrs {
			if network, subnet := f.holds(s, at.Masked()); network != "" {
				out = append(out, Finding{
					Object: d.name + " " + at.String(), What: fmt.Sprintf("%s has %s, which overlaps %s of network %s", d.name, at, subnet, network),
					Why: "containers on it and those of the network do not reach each other, and the server cannot join",
					Fix: bridgeSettings(d.name),
				})
			}
		}
	}
	return out
}

// pools are subnets that others will take networks from: Docker by its configuration, libvirt for
// networks that it defines.
func pools(s *Server, f *Facts) []Finding {
	var out []Finding
	add := func(who, fix string, p netip.Prefix) {
		up := slices.ContainsFunc(s.devices(), func(d device) bool {
			return slices.ContainsFunc(d.addrs, func(a netip.Prefix) bool { return a.Masked() == p.Masked() })
		})
		if network, subnet := f.holds(s, p.Masked()); network != "" && !up { // what is up is told as a bridge
			out = append(out, Finding{
				Object: who + " " + p.String(), What: fmt.Sprintf("%s makes networks in %s, which overlaps %s of network %s", who, p.Masked(), subnet, network),
				Why: "when one is started its containers, or guests, and those of the network do not reach each other",
				Fix: fix,
			})
		}
	}
	for line := range strings.Lines(s.ran("pools")) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		if p, err := netip.ParsePrefix(strings.Trim(strings.TrimSpace(text), `"`)); err == nil {
			add("Docker", "cat /etc/docker/daemon.json", p)
		}
	}
	for _, p := range s.Facts.Awaited {
		add("libvirt", "virsh net-list --all", p)
	}
	return out
}

// bridgeSettings is the line that shows where the subnet of a bridge comes from.
func bridgeSettings(name string) string {
	switch {
	case name == "docker0":
		return "cat /etc/docker/daemon.json"
	case strings.HasPrefix(name, "br-"):
		return hint.Shell("docker", "network", "inspect", strings.TrimPrefix(name, "br-"))
	case strings.HasPrefix(name, "lxcbr"):
		return "grep -n LXC_ /etc/default/lxc-net"
	case strings.HasPrefix(name, "virbr"):
		return "virsh net-list --all"
	}
	return hint.Shell("ip", "-d", "address", "show", "dev", name)
}

// holds is the network whose subnets a prefix on a server overlaps; "" if none has such. Whoever
// is in the server's own part of a pool, or in what it shares, is where it should be.
func (f *Facts) holds(s *Server, p netip.Prefix) (network, subnet string) {
	within := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Masked().Contains(p.Addr()) }
	if p.IsSingleIP() || !p.Addr().IsGlobalUnicast() || slices.ContainsFunc(f.parts(s), within) {
		return "", ""
	}
	for _, name := range f.Cluster.NetworkNames() {
		n := f.Cluster.Networks[name]
		for _, q := range slices.Concat(n.Subnets, n.More) {
			if q.Overlaps(p) {
				return name, q.String()
			}
		}
	}
	return "", ""
}

// parts are the prefixes that are a server's own: of pools, and what it shares.
func (f *Facts) parts(s *Server) []netip.Prefix {
	var out []netip.Prefix
	if s.Entry.Subnet.IsValid() {
		out = append(out, s.Entry.Subnet)
	}
	for _, n := range f.Cluster.Networks {
		if a := n.Allocated[s.Name]; a != nil {
			out = append(out, a.Subnets...)
		}
		if shares, err := ground.SharesOf(n); err == nil { // what cannot be read is nobody's
			out = append(out, shares[s.Name]...)
		}
	}
	return out
}

// nat is a server whose login is by an address that it does not have, where a WireGuard network
// tells others the one that it has.
func nat(s *Server, _ *Facts) []Finding {
	login, err := netip.ParseAddr(s.Entry.Address)
	if err != nil || !login.IsGlobalUnicast() || login.IsPrivate() || len(s.Facts.Interfaces) == 0 || len(s.wanted(spec.WireGuard)) == 0 ||
		s.has(login) || s.Entry.NAT || s.Entry.Endpoint != "" || s.Entry.Jump != "" {
		return nil
	}
	_, at := s.underlay()
	return []Finding{{
		What: fmt.Sprintf("%s is not one of its own addresses (it has %s): it is behind NAT", login, at),
		Why:  "WireGuard networks tell other members the address that it has itself",
		Fix:  hint.Shell("flock", "setserver", s.Name, "--endpoint", login.String()), Here: true,
	}}
}

// duplicates are servers with one underlay address.
func duplicates(s *Server, f *Facts) []Finding {
	var out []Finding
	dev, at := s.underlay()
	for _, name := range f.Cluster.ServerNames() {
		other := f.Cluster.Servers[name]
		if name == s.Name || screen.ByName(name, s.Name) > 0 {
			continue
		}
		if _, theirs := (&Server{Name: name, Entry: other}).underlay(); at.IsValid() && theirs == at {
			fix := "flock listservers " + s.Name
			for _, i := range s.Facts.Interfaces {
				if i.Name != dev && len(i.Addrs) > 0 {
					fix = hint.Shell("flock", "setserver", s.Name, "--interface", i.Name)
					break
				}
			}
			out = append(out, Finding{
				Object: name, What: fmt.Sprintf("networks would use %s of %s, which %s has too", at, dev, name),
				Why: "an address that two servers have is one behind NAT, or of a machine that was cloned",
				Fix: fix, Here: true,
			})
		}
	}
	return out
}

// clones are servers with one machine id, or one host key.
func clones(f *Facts) []Finding {
	marks := []struct {
		check, what, why, fix string
		of                    func(*Server) []string
	}{
		{
			"machine-id", "machine id", "MAC addresses and DHCP ids are made from it: they are not unique then",
			"rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup",
			func(s *Server) []string { return []string{s.text("/etc/machine-id")} },
		},
		{
			"host-key", "SSH host key", "who has it can pass for any of them; with new ones it is refused here, and wherever else somebody logs in, until the old one is forgotten there",
			"rm -f /etc/ssh/ssh_host_*_key* && ssh-keygen -A && { systemctl restart ssh || systemctl restart sshd; }",
			func(s *Server) []string {
				var keys []string
				for _, path := range s.matching("/etc/ssh/ssh_host_*_key.pub") {
					if w := strings.Fields(s.text(path)); len(w) > 1 {
						keys = append(keys, w[1])
					}
				}
				return keys
			},
		},
	}
	var out []Finding
	for _, m := range marks {
		first, told := map[string]string{}, map[string]bool{}
		for i := range f.Servers {
			s := &f.Servers[i]
			for _, value := range m.of(s) {
				other := first[value]
				switch {
				case value == "":
				case other == "":
					first[value] = s.Name
				case other != s.Name && !told[s.Name]:
					told[s.Name] = true
					one := Finding{Server: s.Name, Check: m.check, What: "it has the " + m.what + " of " + other + " (a cloned image?)", Why: m.why, Fix: m.fix}
					if m.check == "host-key" {
						one.Then = f.Logins[s.Name].Forget
					}
					out = append(out, one)
				}
			}
		}
	}
	return out
}

// agents are programs of the agent that nothing uses any more: an installation sweeps those that
// were unused before it, in the place to which it goes.
func agents(s *Server, _ *Facts) []Finding {
	used := s.ran("running")
	at := slices.IndexFunc(spec.Places, func(place string) bool { return strings.Contains(used, place+"/"+s.Facts.Agent+"/") })
	if s.Facts.Agent == "" || at < 0 {
		return nil // what runs cannot be seen: the agent that was asked is not among it
	}
	for _, unit := range s.matching(units) {
		used += "\n" + s.text(unit)
	}
	var idle, here []string
	for line := range strings.Lines(s.ran("agents")) {
		program := strings.TrimSpace(line)
		place, version := path.Split(program)
		if place = strings.TrimSuffix(place, "/"); !slices.Contains(spec.Places, place) || strings.HasPrefix(version, ".") || strings.Contains(used, program+"/") {
			continue
		}
		if place == spec.Places[at] && version != s.Facts.Agent {
			here = append(here, program)
		} else if place != spec.Places[at] {
			idle = append(idle, program)
		}
	}
	if s.Want.BGP == nil || len(here) > 1 { // otherwise the program without BGP, which a server that speaks it has beside the other
		idle = append(here, idle...)
	}
	if len(idle) == 0 {
		return nil
	}
	return []Finding{{
		What: "programs of the agent that nothing uses any more: " + strconv.Itoa(len(idle)),
		Why:  "they take room on the disk",
		// It looks again, as an installation does; where it could not see what runs it removes nothing.
		Fix: "readlink /proc/$$/exe >/dev/null && for v in " + hint.Shell(idle...) + `; do grep -qsF "$v/" ` + units + ` || readlink /proc/[0-9]*/exe | grep -qF "$v/" || rm -rf "$v"; done`, Safe: true,
	}}
}

// leftovers are objects with flock's mark of this cluster, where the server's part of the file
// lacks them.
func leftovers(s *Server, _ *Facts) []Finding {
	extra := s.unwanted()
	if len(extra) == 0 {
		return nil
	}
	return []Finding{{
		What: "left of this cluster: " + few(extra), Why: "the cluster file does not have them",
		Fix: "flock apply", Here: true,
	}}
}

// forgotten are objects with flock's mark of clusters of which the server remembers nothing.
func forgotten(s *Server, f *Facts) []Finding {
	var out []Finding
	known := map[string]bool{f.Cluster.Name: true}
	for _, path := range strings.Fields(s.ran("clusters")) {
		name, _, _ := strings.Cut(path, "/")
		known[name] = true
	}
	objects, remove := map[string][]string{}, map[string][]string{}
	add := func(cluster, object, line string) {
		if cluster = strings.TrimSpace(cluster); cluster != "" && !known[cluster] && spec.CheckName("cluster", cluster) == nil {
			objects[cluster], remove[cluster] = append(objects[cluster], object), append(remove[cluster], line)
		}
	}
	for _, path := range s.matching(units) {
		if mark := markOf(s.text(path)); strings.Contains(mark, "/") || s.Want.Cluster == mark {
			unit := path[strings.LastIndex(path, "/")+1:]
			add(before(mark), "unit "+unit, hint.Shell("systemctl", "disable", "--now", unit)+" && "+hint.Shell("rm", "-f", path))
		}
	}
	for _, d := range s.devices() {
		if mark, ours := strings.CutPrefix(d.alias, spec.AliasPrefix); ours {
			add(before(mark), "link "+d.name, hint.Shell("ip", "link", "delete", d.name))
		}
	}
	var tables []string
	for _, c := range s.Seen.Chains {
		if name, ok := strings.CutPrefix(c.Table, "flock-"); ok && !slices.Contains(tables, table(c)) {
			tables = append(tables, table(c))
			add(name, "table "+table(c), "nft delete table "+family(c)+" "+hint.Shell(c.Table))
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(objects)) {
		out = append(out, Finding{
			Object: cluster, What: fmt.Sprintf("left of cluster %s, of which the server remembers nothing: %s", cluster, few(objects[cluster])),
			Why: "no command removes them any more, and they are in the way of what comes",
			Fix: strings.Join(remove[cluster], " && "),
		})
	}
	return out
}

// unwanted are objects that a plan would take away, that no other object of its kind replaces.
func (s *Server) unwanted() []string {
	var out []string
	if s.Plan == nil {
		return nil
	}
	for _, step := range s.Plan.Steps {
		again := slices.ContainsFunc(s.Plan.Steps, func(o spec.Step) bool { return o.Action == spec.Add && o.Object == step.Object })
		if step.Action == spec.Remove && !again {
			out = append(out, step.Object)
		}
	}
	return out
}

// markOf is whose a file is, by its first line.
func markOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	mark, _ := strings.CutPrefix(line, "# flock: ")
	return mark
}

// before is the cluster of a mark.
func before(mark string) string {
	cluster, _, _ := strings.Cut(mark, "/")
	return cluster
}

func few(list []string) string {
	const most = 4
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(a, b) })
	if more := len(list) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), more)
	}
	return strings.Join(list, ", ")
}

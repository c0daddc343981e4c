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
			if network, subnet := f.holds(at.Masked()); network != "" {
				out = append(out, Finding{
					What: fmt.Sprintf("%s has %s, which overlaps %s of network %s", d.name, at, subnet, network),
					Why:  "containers on it and those of the network do not reach each other, and the server cannot join",
					Fix:  bridgeSettings(d.name),
				})
			}
		}
	}
	return append(out, pools(s, f)...)
}

// pools are subnets that others will take networks from: Docker by its configuration, libvirt for
// networks that it defines.
func pools(s *Server, f *Facts) []Finding {
	var out []Finding
	add := func(who, fix string, p netip.Prefix) {
		up := slices.ContainsFunc(s.devices(), func(d device) bool {
			return slices.ContainsFunc(d.addrs, func(a netip.Prefix) bool { return a.Masked() == p.Masked() })
		})
		if network, subnet := f.holds(p.Masked()); network != "" && !up { // what is up is told as a bridge
			out = append(out, Finding{
				What: fmt.Sprintf("%s makes networks in %s, which overlaps %s of network %s", who, p.Masked(), subnet, network),
				Why:  "when one is started its containers, or guests, and those of the network do not reach each other",
				Fix:  fix,
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

// holds is the network whose subnets a prefix overlaps; "" if none has such.
func (f *Facts) holds(p netip.Prefix) (network, subnet string) {
	if p.IsSingleIP() || !p.Addr().IsGlobalUnicast() {
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

// addresses are those that look like NAT: one by which nobody but its neighbours reaches the
// server, and one that two servers have.
func addresses(s *Server, f *Facts) []Finding {
	var out []Finding
	login, err := netip.ParseAddr(s.Entry.Address)
	wide := func(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }
	dev, at := s.underlay()
	if err == nil && wide(login) && !slices.Contains(s.own(), login) && !s.Entry.NAT && s.Entry.Endpoint == "" && s.Entry.Jump == "" {
		out = append(out, Finding{
			What: fmt.Sprintf("%s is not one of its own addresses (it has %s): it is behind NAT", login, at),
			Why:  "WireGuard networks tell other members the address that it has itself",
			Fix:  "flock setserver " + s.Name + " --endpoint " + login.String(), Here: true,
		})
	}
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
				What: fmt.Sprintf("networks would use %s of %s, which %s has too", at, dev, name),
				Why:  "an address that two servers have is one behind NAT, or of a machine that was cloned",
				Fix:  fix, Here: true,
			})
		}
	}
	return out
}

// clones are servers with one machine id, or one host key.
func clones(f *Facts) []Finding {
	marks := []struct {
		what, why, fix string
		of             func(*Server) []string
	}{
		{
			"machine id", "MAC addresses and DHCP ids are made from it: they are not unique then",
			"rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup",
			func(s *Server) []string { return []string{s.text("/etc/machine-id")} },
		},
		{
			"SSH host key", "who has it can pass for any of them",
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
					out = append(out, Finding{Server: s.Name, What: "it has the " + m.what + " of " + other + " (a cloned image?)", Why: m.why, Fix: m.fix})
				}
			}
		}
	}
	return out
}

// agents are versions of the agent that nothing uses any more: an installation sweeps those that
// were unused before it.
func agents(s *Server, _ *Facts) []Finding {
	const dir = "/usr/local/lib/flock/"
	used := s.ran("running")
	for _, unit := range s.matching("/etc/systemd/system/flock-*.service") {
		used += "\n" + s.text(unit)
	}
	var idle []string
	for _, version := range strings.Fields(s.ran("agents")) {
		if version != s.Facts.Agent && !strings.Contains(used, dir+version+"/") && !strings.HasPrefix(version, ".") && path.Base(version) == version {
			idle = append(idle, dir+version)
		}
	}
	if s.Want.BGP != nil && len(idle) == 1 {
		return nil // the program without BGP, which a server that speaks it has beside the other
	}
	if len(idle) == 0 {
		return nil
	}
	return []Finding{{
		What: "programs of the agent that nothing uses any more: " + strconv.Itoa(len(idle)),
		Why:  "they take room on the disk",
		Fix:  hint.Shell(append([]string{"rm", "-rf"}, idle...)...), Safe: true,
	}}
}

// leftovers are objects with flock's mark that no cluster asks for: of this one, where the server's
// part of the file lacks them, and of clusters of which the server remembers nothing.
func leftovers(s *Server, f *Facts) []Finding {
	var out []Finding
	if extra := s.unwanted(); len(extra) > 0 {
		out = append(out, Finding{
			What: "left of this cluster: " + few(extra), Why: "the cluster file does not have them",
			Fix: "flock apply", Here: true,
		})
	}
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
	for _, path := range s.matching("/etc/systemd/system/flock-*.service") {
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
			What: fmt.Sprintf("left of cluster %s, of which the server remembers nothing: %s", cluster, few(objects[cluster])),
			Why:  "no command removes them any more, and they are in the way of what comes",
			Fix:  strings.Join(remove[cluster], " && "),
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

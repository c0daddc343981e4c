// Package templates owns the text of every file that flock writes for other
// programs on a server: dnsmasq's configuration, systemd units, drop-ins for
// systemd-networkd and NetworkManager, flannel's subnet.env. It turns plain values into text; it
// refuses to know where a file goes, what the values mean or whether a program
// is there.
package templates

import (
	"strconv"
	"strings"
)

// DHCP is the configuration of a dnsmasq that hands out addresses and answers
// for the names of those it handed them to.
type DHCP struct {
	Mark      string // ownership: CLUSTER/NETWORK
	Bridge    string
	Domain    string
	PIDFile   string
	LeaseFile string
	HostsFile string   // further names, read again on SIGHUP
	NamesDir  string   // names of containers, one file each, read when one changes
	Script    string   // that dnsmasq tells of leases
	Reserved  []string // host names that no lease gets
	Known     string   // file of clients whose names or addresses are decided, read again on SIGHUP; "": there are none
	Port      uint16   // DNS port
	Leaf      bool     // only names of its own; anything else is refused: a DNS front asks several
	Ranges    []string
	MaxLeases int
	Router    string   // "": none is handed out
	DNS4      []string // resolvers handed out
	DNS6      []string // in brackets
	MTU       int      // bytes; 0: not handed out
	RA        bool     // send router advertisements
}

// Text is the file.
func (d DHCP) Text() (string, error) {
	more, router := "and what the server's resolvers know", ""
	if d.Leaf {
		more = "nothing else"
	}
	if d.Router != "" {
		router = "," + d.Router
	}
	reserved := make([]string, 0, 2*len(d.Reserved))
	for _, name := range d.Reserved {
		reserved = append(reserved, name, name+".*")
	}
	return render("dnsmasq.conf.tmpl", fields{
		"Mark": {d.Mark}, "PIDFile": {d.PIDFile}, "Bridge": {d.Bridge}, "Port": {strconv.Itoa(int(d.Port))},
		"More": {more}, "Leaf": when(d.Leaf), "Full": when(!d.Leaf), "Domain": {d.Domain}, "HostsFile": {d.HostsFile},
		"NamesDir": {d.NamesDir}, "Script": {d.Script}, "Reserved": reserved, "Known": unless(d.Known, ""),
		"LeaseFile": {d.LeaseFile}, "MaxLeases": {strconv.Itoa(d.MaxLeases)}, "Ranges": d.Ranges, "Router": {router},
		"DNS4": unless(strings.Join(d.DNS4, ","), ""), "DNS6": unless(strings.Join(d.DNS6, ","), ""),
		"MTU": unless(strconv.Itoa(d.MTU), "0"), "RA": when(d.RA),
	})
}

// Leased is the script that dnsmasq tells of leases, which keeps NamesDir.
func (d DHCP) Leased() (string, error) {
	reserved := ""
	for _, name := range d.Reserved {
		reserved += " | " + name
	}
	return render("dnsmasq.leased.tmpl", fields{
		"Mark": {d.Mark}, "NamesDir": {d.NamesDir}, "HostsFile": {d.HostsFile}, "Domain": {d.Domain}, "Reserved": {reserved},
		"Known": unless(d.Known, ""), "IfKnown": when(d.Known != ""),
	})
}

// Pin is the file that gives the container at addr its name.
func (d DHCP) Pin(addr, name string) string {
	return addr + " " + name + "." + d.Domain + " " + name + "\n"
}

// Front is the configuration of a dnsmasq that only answers DNS: it asks at Names for
// what is in Domains and the server's resolvers for the rest.
type Front struct {
	Mark, Bridge, PIDFile  string
	HostsFile, ServersFile string // read again on SIGHUP
	Domains                []string
	Names                  string   // ADDRESS#PORT
	Subnets                []string // whose reverse names are asked for at Names
}

// Text is the file.
func (f Front) Text() (string, error) {
	return render("front.conf.tmpl", fields{
		"Mark": {f.Mark}, "PIDFile": {f.PIDFile}, "Bridge": {f.Bridge}, "HostsFile": {f.HostsFile}, "ServersFile": {f.ServersFile},
	})
}

// Servers is the file that says whom to ask.
func (f Front) Servers() (string, error) {
	return render("front.servers.tmpl", fields{"Domains": f.Domains, "Names": {f.Names}, "Subnets": f.Subnets})
}

// Known is the file of clients whose names or addresses are decided.
type Known struct {
	Clients []string // MAC[,ADDRESS][,NAME]
}

// Text is the file.
func (k Known) Text() (string, error) {
	return render("dnsmasq.known.tmpl", fields{"Clients": k.Clients})
}

// Hosts is the file with fixed names of Domain.
type Hosts struct {
	Spec   string // what the network's DHCP was made from, on one line
	Domain string
	Names  []Host
}

// Host is a name and one of its addresses.
type Host struct{ Name, Addr string }

// Text is the file.
func (h Hosts) Text() (string, error) {
	names := make([]string, len(h.Names))
	for i, n := range h.Names {
		names[i] = n.Addr + " " + n.Name + "." + h.Domain + " " + n.Name
	}
	return render("dnsmasq.hosts.tmpl", fields{"Spec": unless(h.Spec, ""), "Names": names})
}

// SubnetEnv is flannel's subnet.env.
type SubnetEnv struct {
	Mark               string // CLUSTER/NETWORK
	Spec               string
	Network4, Network6 string // CIDR of the pool; "": none of that family
	Subnet4, Subnet6   string // GATEWAY/LENGTH
	MTU                int    // bytes
	Masquerade         bool
}

// Text is the file.
func (e SubnetEnv) Text() (string, error) {
	return render("subnet.env.tmpl", fields{
		"Mark": {e.Mark}, "Spec": {e.Spec}, "MTU": {strconv.Itoa(e.MTU)}, "Masquerade": {strconv.FormatBool(e.Masquerade)},
		"Network4": unless(e.Network4, ""), "Subnet4": unless(e.Subnet4, ""),
		"Network6": unless(e.Network6, ""), "Subnet6": unless(e.Subnet6, ""),
	})
}

// DNSMasqUnit is the systemd unit of one dnsmasq.
type DNSMasqUnit struct {
	Mark    string // CLUSTER/NETWORK
	Program string // absolute path
	Conf    string
	PIDFile string
}

// Text is the file.
func (u DNSMasqUnit) Text() (string, error) {
	return render("dnsmasq.service.tmpl", fields{"Mark": {u.Mark}, "Program": {u.Program}, "Conf": {u.Conf}, "PIDFile": {u.PIDFile}})
}

// DaemonUnit is the systemd unit of a process of the agent's own program.
type DaemonUnit struct {
	Mark        string // CLUSTER/NETWORK or CLUSTER
	Description string
	Program     string // absolute path of the agent
	Args        []string
	Enters      bool // network namespaces of containers, which takes CAP_SYS_ADMIN, and CAP_SYS_PTRACE to find them
}

// Text is the file.
func (u DaemonUnit) Text() (string, error) {
	capability, namespaces, podman := "", "yes", []string(nil)
	if u.Enters {
		capability, namespaces = " CAP_SYS_ADMIN CAP_SYS_PTRACE", "net"
		podman = []string{"-/etc/containers"} // with netavark it has a lock there, which it takes to be asked, too
	}
	return render("flock-daemon.service.tmpl", fields{
		"Mark": {u.Mark}, "Description": {u.Description}, "Program": {u.Program}, "Args": {strings.Join(u.Args, " ")},
		"Capability": {capability}, "Namespaces": {namespaces}, "Podman": podman,
	})
}

// EarlyUnit is the systemd unit that makes links before containers and guests start.
type EarlyUnit struct {
	Program string // absolute path of the agent
	Timeout int    // seconds
}

// Text is the file.
func (u EarlyUnit) Text() (string, error) {
	return render("flock-early.service.tmpl", timed(u.Program, u.Timeout))
}

// BootUnit is the systemd unit that puts the last specs back after a start.
type BootUnit struct {
	Program string // absolute path of the agent
	Timeout int    // seconds
}

// Text is the file.
func (u BootUnit) Text() (string, error) {
	return render("flock-boot.service.tmpl", timed(u.Program, u.Timeout))
}

// RulesUnit is the template of systemd units that put the rules back when another program
// has started, was restarted or has read its configuration again: the instance's.
type RulesUnit struct {
	Program string // absolute path of the agent
	Timeout int    // seconds
}

// Text is the file.
func (u RulesUnit) Text() (string, error) {
	return render("flock-rules.service.tmpl", timed(u.Program, u.Timeout))
}

// Unmanaged tells a network daemon to leave Links alone.
type Unmanaged struct {
	Mark  string // CLUSTER
	Spec  string
	Links []string
}

// Networkd is the .network file for systemd-networkd.
func (u Unmanaged) Networkd() (string, error) {
	return render("unmanaged.network.tmpl", fields{"Mark": {u.Mark}, "Spec": {u.Spec}, "Links": {strings.Join(u.Links, " ")}})
}

// NetworkManager is the conf.d file for NetworkManager.
func (u Unmanaged) NetworkManager() (string, error) {
	links := ""
	for i, l := range u.Links {
		if i > 0 {
			links += ";"
		}
		links += "interface-name:" + l
	}
	return render("unmanaged.conf.tmpl", fields{"Mark": {u.Mark}, "Spec": {u.Spec}, "Links": {links}})
}

// Firewalld is the zone of firewalld's that lets Links pass: devices, and prefixes that
// packets come from.
func (u Unmanaged) Firewalld() (string, error) {
	var lets []string
	for _, l := range u.Links {
		tag := `interface name="`
		if strings.Contains(l, "/") {
			tag = `source address="`
		}
		lets = append(lets, tag+l)
	}
	return render("firewalld.xml.tmpl", fields{"Mark": {u.Mark}, "Links": lets})
}

func timed(program string, seconds int) fields {
	return fields{"Program": {program}, "Timeout": {strconv.Itoa(seconds)}}
}

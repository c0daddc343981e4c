// Package templates owns the text of every file that flock writes for other
// programs on a server: dnsmasq's configuration, systemd units, drop-ins for
// systemd-networkd and NetworkManager, flannel's subnet.env. It turns plain values into text; it
// refuses to know where a file goes, what the values mean or whether a program
// is there.
package templates

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var files embed.FS

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
func (d DHCP) Text() (string, error) { return render("dnsmasq.conf.tmpl", d) }

// Leased is the script that dnsmasq tells of leases, which keeps NamesDir.
func (d DHCP) Leased() (string, error) { return render("dnsmasq.leased.tmpl", d) }

// Pin is the file that gives the container at addr its name.
func (d DHCP) Pin(addr, name string) string {
	return addr + " " + name + "." + d.Domain + " " + name + "\n"
}

// Front is the configuration of a dnsmasq that only answers DNS: it asks at Names for
// what is in Domain and the server's resolvers for the rest.
type Front struct {
	Mark, Bridge, PIDFile  string
	HostsFile, ServersFile string // read again on SIGHUP
	Domain                 string
	Names                  string   // ADDRESS#PORT
	Subnets                []string // whose reverse names are asked for at Names
}

// Text is the file.
func (f Front) Text() (string, error) { return render("front.conf.tmpl", f) }

// Servers is the file that says whom to ask.
func (f Front) Servers() (string, error) { return render("front.servers.tmpl", f) }

// Known is the file of clients whose names or addresses are decided.
type Known struct {
	Clients []string // MAC[,ADDRESS][,NAME]
}

// Text is the file.
func (k Known) Text() (string, error) { return render("dnsmasq.known.tmpl", k) }

// Hosts is the file with fixed names of Domain.
type Hosts struct {
	Spec   string // what the network's DHCP was made from, on one line
	Domain string
	Names  []Host
}

// Host is a name and one of its addresses.
type Host struct{ Name, Addr string }

// Text is the file.
func (h Hosts) Text() (string, error) { return render("dnsmasq.hosts.tmpl", h) }

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
func (e SubnetEnv) Text() (string, error) { return render("subnet.env.tmpl", e) }

// DNSMasqUnit is the systemd unit of one dnsmasq.
type DNSMasqUnit struct {
	Mark    string // CLUSTER/NETWORK
	Program string // absolute path
	Conf    string
	PIDFile string
}

// Text is the file.
func (u DNSMasqUnit) Text() (string, error) { return render("dnsmasq.service.tmpl", u) }

// DaemonUnit is the systemd unit of a process of the agent's own program.
type DaemonUnit struct {
	Mark        string // CLUSTER/NETWORK or CLUSTER
	Description string
	Program     string // absolute path of the agent
	Args        []string
	Enters      bool // network namespaces of containers, which takes CAP_SYS_ADMIN
}

// Text is the file.
func (u DaemonUnit) Text() (string, error) { return render("flock-daemon.service.tmpl", u) }

// BootUnit is the systemd unit that puts the last specs back after a start.
type BootUnit struct {
	Program string // absolute path of the agent
	Timeout int    // seconds
}

// Text is the file.
func (u BootUnit) Text() (string, error) { return render("flock-boot.service.tmpl", u) }

// RulesUnit is the template of systemd units that put the rules back when another program
// has started, was restarted or has read its configuration again: the instance's.
type RulesUnit struct {
	Program string // absolute path of the agent
	Timeout int    // seconds
}

// Text is the file.
func (u RulesUnit) Text() (string, error) { return render("flock-rules.service.tmpl", u) }

// Unmanaged tells a network daemon to leave Links alone.
type Unmanaged struct {
	Mark  string // CLUSTER
	Spec  string
	Links []string
}

// Networkd is the .network file for systemd-networkd.
func (u Unmanaged) Networkd() (string, error) { return render("unmanaged.network.tmpl", u) }

// NetworkManager is the conf.d file for NetworkManager.
func (u Unmanaged) NetworkManager() (string, error) { return render("unmanaged.conf.tmpl", u) }

func render(name string, data any) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"join": strings.Join}).ParseFS(files, name)
	if err != nil {
		return "", fmt.Errorf("parse template %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("fill template %s: %w", name, err)
	}
	return b.String(), nil
}

package written

import (
	"fmt"
	"math/big"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
	"github.com/flocknet/flock/templates"
)

const (
	// DNSPort is where a network's containers ask.
	DNSPort = 53
	// LeafPort is where a leaf answers the fronts of all servers. Unassigned by
	// IANA; next to 5353 and 5355, which belong to mDNS and LLMNR.
	LeafPort = 5354

	leaseFor = "12h"
	// maxLeases bounds what dnsmasq keeps in memory and in one file; its own
	// default of 1000 is less than a /22 holds.
	minLeases, maxLeases = 1000, 1 << 16
)

// PIDSuffix is what the names of pid files end with.
const PIDSuffix = ".pid"

// What a dnsmasq's files end with. A network may be called x.key or x.conf: what a file
// is, its end alone says, and what comes before it between stem and end is the name.
const (
	confSuffix    = ".conf"
	hostsSuffix   = ".hosts"
	knownSuffix   = ".known"
	serversSuffix = ".servers"
	leasesSuffix  = ".leases"
	leasedSuffix  = ".leased"
	namesSuffix   = ".names"
	recordSuffix  = ".started"
)

// Ends says whether names of a dnsmasq's files end with suffix.
func Ends(suffix string) bool {
	switch suffix {
	case confSuffix, hostsSuffix, knownSuffix, serversSuffix, leasesSuffix, leasedSuffix, namesSuffix, PIDSuffix, recordSuffix:
		return true
	}
	return false
}

// Role is one of the processes of a network's DHCP: what the names of its files begin with.
type Role string

// Leaf has the leases, and beside a Front the names of its own containers alone. It is the
// only process where no other server knows more names. Front answers containers with the
// names of all servers.
const (
	Leaf  Role = "dnsmasq"
	Front Role = "front"
)

// Cluster is where a cluster has its files on a server.
type Cluster struct {
	Name string
	Dir  string // of what outlives a reboot
	Run  string // of what does not
}

// Process is where one dnsmasq has its files.
type Process struct {
	Daemon  string // names its unit
	Conf    string
	Hosts   string // read again on SIGHUP
	Known   string // of a leaf: read again on SIGHUP
	Servers string // of a front: read again on SIGHUP
	Leases  string // of a leaf: dnsmasq's own
	Leased  string // of a leaf: the script that it tells of leases
	Names   string // of a leaf: the directory of what containers are called
	PIDFile string
	Record  string // what the running one was started with
	Mark    string
}

// Process is where network's dnsmasq of a role has its files.
func (c *Cluster) Process(r Role, network string) Process {
	unit := string(r)
	if r == Leaf {
		unit = "dns"
	}
	stem := filepath.Join(c.Dir, string(r)+"-"+network)
	run := filepath.Join(c.Run, string(r)+"-"+network)
	return Process{
		Daemon: unit + "-" + network,
		Conf:   stem + confSuffix, Hosts: stem + hostsSuffix, Servers: stem + serversSuffix, Leases: stem + leasesSuffix,
		Known: stem + knownSuffix, Leased: stem + leasedSuffix, Names: stem + namesSuffix,
		PIDFile: run + PIDSuffix, Record: run + recordSuffix, Mark: c.Name + "/" + network,
	}
}

// DNSMasq is a dnsmasq with the text of its files.
type DNSMasq struct {
	Process
	Texts
}

// Texts are what is in a dnsmasq's files.
type Texts struct {
	Leaf       bool
	Program    string            // absolute path
	ConfText   string            // to change it, dnsmasq is started anew
	UnitText   string            // likewise
	LeasedText string            // of a leaf: read anew with each lease
	Soft       map[string]string // by path: to change it, a signal is enough
}

// DNSMasqs are the processes that d comes to where program is dnsmasq, the leaf first.
func (c *Cluster) DNSMasqs(d *spec.DHCP, program string) ([]*DNSMasq, error) {
	out := []*DNSMasq{{Process: c.Process(Leaf, d.Network)}}
	if err := c.leaf(d, out[0]); err != nil {
		return nil, err
	}
	if len(d.Peers) > 0 {
		out = append(out, &DNSMasq{Process: c.Process(Front, d.Network)})
		if err := c.front(d, out[1]); err != nil {
			return nil, err
		}
	}
	for _, p := range out {
		var err error
		if p.UnitText, err = (templates.DNSMasqUnit{Mark: p.Mark, Program: program, Conf: p.Conf, PIDFile: p.PIDFile}).Text(); err != nil {
			return nil, err
		}
		p.Program = program
	}
	return out, nil
}

func (c *Cluster) leaf(d *spec.DHCP, p *DNSMasq) error {
	data, err := wire.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode DHCP: %w", err)
	}
	p.Leaf = true
	t := c.LeafConf(d)
	if p.ConfText, err = t.Text(); err != nil {
		return err
	}
	if p.LeasedText, err = t.Leased(); err != nil {
		return err
	}
	h := templates.Hosts{Spec: string(data), Domain: d.Domain, Names: hostNames(d)}
	hosts, err := h.Text()
	p.Soft = map[string]string{p.Hosts: hosts}
	if err == nil && len(d.Known) > 0 {
		p.Soft[p.Known], err = templates.Known{Clients: knownClients(d)}.Text()
	}
	return err
}

func (c *Cluster) front(d *spec.DHCP, p *DNSMasq) error {
	t := templates.Front{
		Mark: p.Mark, Bridge: d.Bridge, PIDFile: p.PIDFile, HostsFile: p.Hosts, ServersFile: p.Servers, Domains: []string{d.Domain},
	}
	if len(d.Listen) > 0 { // the server's own address comes first
		t.Names = d.Listen[0].String() + "#" + strconv.Itoa(spec.NamesPort)
	}
	subnets := []netip.Prefix{}
	for _, r := range d.Ranges {
		subnets = append(subnets, r.Subnet)
	}
	if z := d.Zone; z != nil {
		if subnets = append(subnets, z.Subnets...); z.Domain != "" {
			t.Domains = append(t.Domains, z.Domain)
		}
	}
	for _, p := range subnets {
		if subnet := p.String(); !slices.Contains(t.Subnets, subnet) {
			t.Subnets = append(t.Subnets, subnet)
		}
	}
	var err error
	if p.ConfText, err = t.Text(); err != nil {
		return err
	}
	servers, err := t.Servers()
	if err != nil {
		return err
	}
	hosts, err := templates.Hosts{Domain: d.Domain, Names: hostNames(d)}.Text()
	p.Soft = map[string]string{p.Hosts: hosts, p.Servers: servers}
	return err
}

func hostNames(d *spec.DHCP) []templates.Host {
	var out []templates.Host
	for _, h := range d.Hosts {
		out = append(out, templates.Host{Name: h.Name, Addr: h.Addr.String()})
	}
	return out
}

// knownClients are d's in dnsmasq's words.
func knownClients(d *spec.DHCP) []string {
	var out []string
	for _, k := range d.Known {
		words := []string{k.MAC}
		for _, a := range k.Addrs {
			text := a.String()
			if a.Is6() {
				text = "[" + text + "]"
			}
			words = append(words, text)
		}
		if k.Name != "" {
			words = append(words, k.Name)
		}
		out = append(out, strings.Join(words, ","))
	}
	return out
}

// LeafConf is the configuration of d's leaf.
func (c *Cluster) LeafConf(d *spec.DHCP) templates.DHCP {
	p := c.Process(Leaf, d.Network)
	t := templates.DHCP{
		Mark: p.Mark, Bridge: d.Bridge, Domain: d.Domain,
		PIDFile: p.PIDFile, LeaseFile: p.Leases, HostsFile: p.Hosts, NamesDir: p.Names, Script: p.Leased, Reserved: names.Reserved(),
		Port: DNSPort, Leaf: len(d.Peers) > 0, MaxLeases: leaseCount(d.Ranges), MTU: d.MTU,
	}
	if t.Leaf {
		t.Port = LeafPort
	}
	if len(d.Known) > 0 {
		t.Known = p.Known
	}
	if d.Router.IsValid() {
		t.Router = d.Router.String()
	}
	for _, a := range d.DNS {
		if a.Is4() {
			t.DNS4 = append(t.DNS4, a.String())
		} else {
			t.DNS6 = append(t.DNS6, "["+a.String()+"]")
		}
	}
	for _, r := range d.Ranges {
		t.Ranges = append(t.Ranges, rangeText(r))
		t.RA = t.RA || r.Subnet.Addr().Is6()
	}
	return t
}

// rangeText is the value of dhcp-range. The mask is always given: the gateway's
// address on the bridge is a /32 that dnsmasq would guess from.
func rangeText(r spec.Range) string {
	bits := r.Subnet.Bits()
	switch {
	case r.Subnet.Addr().Is4():
		return fmt.Sprintf("%s,%s,%s,%s", r.First, r.Last, maskOf(bits), leaseFor)
	case bits == 64:
		return fmt.Sprintf("%s,ra-stateless,ra-names,%d,%s", r.Subnet.Addr(), bits, leaseFor)
	default:
		return fmt.Sprintf("%s,%s,%d,%s", r.First, r.Last, bits, leaseFor)
	}
}

func maskOf(bits int) netip.Addr {
	m := ^uint32(0) << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)})
}

// leaseCount is how many leases dnsmasq must be able to keep.
func leaseCount(ranges []spec.Range) int {
	sum := new(big.Int)
	for _, r := range ranges {
		first, last := new(big.Int).SetBytes(r.First.AsSlice()), new(big.Int).SetBytes(r.Last.AsSlice())
		sum.Add(sum, last.Sub(last, first)).Add(sum, big.NewInt(1))
	}
	if !sum.IsInt64() {
		return maxLeases
	}
	return int(min(max(sum.Int64(), minLeases), maxLeases))
}

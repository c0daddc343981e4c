//go:build linux

package dhcp

import (
	"fmt"
	"math/big"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
	"github.com/flocknet/flock/templates"
)

const (
	dnsPort = 53
	// leafPort is where a leaf answers the fronts of all servers. Unassigned by
	// IANA; next to 5353 and 5355, which belong to mDNS and LLMNR.
	leafPort = 5354
	leaseFor = "12h"
	// maxLeases bounds what dnsmasq keeps in memory and in one file; its own
	// default of 1000 is less than a /22 holds.
	minLeases, maxLeases = 1000, 1 << 16
)

// role is one of the processes of a network's DHCP.
type role struct {
	stem string // of its files
	unit string
}

var (
	leaf  = role{stem: "dnsmasq", unit: "dns"}
	front = role{stem: "front", unit: "front"}
	roles = []role{leaf, front}
)

// process is where one dnsmasq has its files.
type process struct {
	daemon  string // names its unit
	conf    string
	hosts   string // read again on SIGHUP
	known   string // of a leaf: read again on SIGHUP
	servers string // of a front: read again on SIGHUP
	leases  string // of a leaf: dnsmasq's own
	leased  string // of a leaf: the script that it tells of leases
	names   string // of a leaf: the directory of what containers are called
	pidFile string
	record  string // what the running one was started with
	mark    string
}

func (s *Server) process(r role, network string) process {
	stem := filepath.Join(s.dir, r.stem+"-"+network)
	run := filepath.Join(s.run, r.stem+"-"+network)
	return process{
		daemon: r.unit + "-" + network,
		conf:   stem + confSuffix, hosts: stem + hostsSuffix, servers: stem + serversSuffix, leases: stem + leasesSuffix,
		known: stem + knownSuffix, leased: stem + leasedSuffix, names: stem + namesSuffix,
		pidFile: run + unit.PIDSuffix, record: run + recordSuffix, mark: s.cluster + "/" + network,
	}
}

// Daemons are the names of the units that the dnsmasqs of network have, if they have any.
func (s *Server) Daemons(network string) []string {
	var out []string
	for _, r := range roles {
		out = append(out, s.process(r, network).daemon)
	}
	return out
}

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

// networkOf is the network whose dnsmasq, or whose names' process, has a file called
// name; "" of other files.
func networkOf(name string) string {
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	if network, ok := strings.CutPrefix(base, namesStem); ok && ext == unit.PIDSuffix {
		return network
	}
	if !slices.Contains([]string{confSuffix, hostsSuffix, knownSuffix, serversSuffix, leasesSuffix, leasedSuffix, namesSuffix, unit.PIDSuffix, recordSuffix}, ext) {
		return ""
	}
	for _, r := range roles {
		if network, ok := strings.CutPrefix(base, r.stem+"-"); ok {
			return network
		}
	}
	return ""
}

// planned is a process with the text of its files.
type planned struct {
	process
	leaf               bool
	program            string
	confText, unitText string            // to change it, dnsmasq is started anew
	leasedText         string            // of a leaf: read anew with each lease
	soft               map[string]string // by path: to change it, a signal is enough
}

// plan returns the processes that d comes to, the leaf first.
func (s *Server) plan(d spec.DHCP) ([]planned, error) {
	program, err := unit.LookPath("dnsmasq")
	if err != nil {
		return nil, err
	}
	plans := make([]planned, 1, len(roles))
	if plans[0], err = s.planLeaf(d); err != nil {
		return nil, err
	}
	if len(d.Peers) > 0 {
		p, err := s.planFront(d)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	for i := range plans {
		p := &plans[i]
		unit := templates.DNSMasqUnit{Mark: p.mark, Program: program, Conf: p.conf, PIDFile: p.pidFile}
		if p.unitText, err = unit.Text(); err != nil {
			return nil, err
		}
		p.program = program
	}
	return plans, nil
}

func (s *Server) planLeaf(d spec.DHCP) (planned, error) {
	data, err := wire.Marshal(d)
	if err != nil {
		return planned{}, fmt.Errorf("encode DHCP: %w", err)
	}
	p := planned{process: s.process(leaf, d.Network), leaf: true}
	t := s.leafConf(d)
	if p.confText, err = t.Text(); err != nil {
		return planned{}, err
	}
	if p.leasedText, err = t.Leased(); err != nil {
		return planned{}, err
	}
	h := templates.Hosts{Spec: string(data), Domain: d.Domain, Names: hostNames(d)}
	hosts, err := h.Text()
	p.soft = map[string]string{p.hosts: hosts}
	if err == nil && len(d.Known) > 0 {
		p.soft[p.known], err = templates.Known{Clients: knownClients(d)}.Text()
	}
	return p, err
}

func (s *Server) planFront(d spec.DHCP) (planned, error) {
	p := planned{process: s.process(front, d.Network)}
	t := templates.Front{
		Mark: p.mark, Bridge: d.Bridge, PIDFile: p.pidFile, HostsFile: p.hosts, ServersFile: p.servers, Domain: d.Domain,
	}
	if len(d.Listen) > 0 { // the server's own address comes first
		t.Names = d.Listen[0].String() + "#" + strconv.Itoa(namesPort)
	}
	for _, r := range d.Ranges {
		if subnet := r.Subnet.String(); !slices.Contains(t.Subnets, subnet) {
			t.Subnets = append(t.Subnets, subnet)
		}
	}
	var err error
	if p.confText, err = t.Text(); err != nil {
		return planned{}, err
	}
	servers, err := t.Servers()
	if err != nil {
		return planned{}, err
	}
	hosts, err := templates.Hosts{Domain: d.Domain, Names: hostNames(d)}.Text()
	p.soft = map[string]string{p.hosts: hosts, p.servers: servers}
	return p, err
}

func hostNames(d spec.DHCP) []templates.Host {
	var out []templates.Host
	for _, h := range d.Hosts {
		out = append(out, templates.Host{Name: h.Name, Addr: h.Addr.String()})
	}
	return out
}

// knownClients are d's in dnsmasq's words.
func knownClients(d spec.DHCP) []string {
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

func (s *Server) leafConf(d spec.DHCP) templates.DHCP {
	p := s.process(leaf, d.Network)
	t := templates.DHCP{
		Mark: p.mark, Bridge: d.Bridge, Domain: d.Domain,
		PIDFile: p.pidFile, LeaseFile: p.leases, HostsFile: p.hosts, NamesDir: p.names, Script: p.leased, Reserved: names.Reserved(),
		Port: dnsPort, Leaf: len(d.Peers) > 0, MaxLeases: leaseCount(d.Ranges), MTU: d.MTU,
	}
	if t.Leaf {
		t.Port = leafPort
	}
	if len(d.Known) > 0 {
		t.Known = p.known
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

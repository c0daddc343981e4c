package spec

import (
	"net/netip"
	"strings"
)

// Sysctl is a kernel setting. The agent remembers the value found and restores
// it when no spec asks any more, unless somebody changed it meanwhile or relies on it.
type Sysctl struct {
	Key   string // with slashes, below /proc/sys: net/ipv4/ip_forward
	Value string
	Link  string `json:",omitempty"` // our link that the key belongs to: it goes with the link, nothing is restored
	Back  string `json:",omitempty"` // found only: the value of before us, to which it goes back
	Kept  string `json:",omitempty"` // found only: who came to rely on Value meanwhile, so that it stays
}

// Claim is something that must be free on a server before anything is changed.
// It makes nothing; it is checked while planning.
type Claim struct {
	Network string
	Prefix  netip.Prefix   // no foreign route or address overlaps it (default routes aside); invalid: unused
	Except  []netip.Prefix `json:",omitempty"` // within Prefix: foreign routes and addresses in one of them are welcome
	Shared  bool           `json:",omitempty"` // Prefix is what another server shares: no resolver of this one lies in it
	UDPPort uint16         // nobody else listens on it; 0: unused
	TCPPort uint16         `json:",omitempty"` // nobody else listens on it; 0: unused
	Program string         `json:",omitempty"` // must be installed, e.g. "dnsmasq"
	Package string         `json:",omitempty"` // what to install for Program
	Device  string         `json:",omitempty"` // must exist
}

func (s Sysctl) String() string {
	var b line
	b.add("sysctl", s.Key+"="+s.Value)
	b.str("link", s.Link)
	b.str("back", s.Back)
	b.str("kept", s.Kept)
	return b.String()
}

func (c Claim) String() string {
	var b line
	b.add("claim")
	if c.Prefix.IsValid() {
		b.str("prefix", c.Prefix.String())
	}
	b.str("except", strings.Join(texts(c.Except), ","))
	b.flag("shared", c.Shared)
	b.num("udp", int(c.UDPPort))
	b.num("tcp", int(c.TCPPort))
	b.str("program", c.Program)
	b.str("package", c.Package)
	b.str("device", c.Device)
	b.str("network", c.Network)
	return b.String()
}

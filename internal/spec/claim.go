package spec

import (
	"net/netip"
	"strings"
)

// Sysctl is a kernel setting. The agent notes the value that it found, and restores it
// when no spec asks for the setting any more, unless somebody changed it since or relies
// on it.
type Sysctl struct {
	Key   string // with slashes, below /proc/sys: net/ipv4/ip_forward
	Value string
	Link  string `json:",omitempty"` // our link that the key belongs to: it vanishes with the link, nothing is restored
	Back  string `json:",omitempty"` // found only: the value before ours, which will be restored
	Kept  string `json:",omitempty"` // found only: who relies on Value now, so that it is not restored
}

// Claim is something that must be free, or exist, on a server before anything is
// changed. It makes nothing; the agent checks it while planning.
type Claim struct {
	Network string
	Prefix  netip.Prefix   // no foreign route or address overlaps it (default routes aside); invalid: unused
	Except  []netip.Prefix `json:",omitempty"` // within Prefix: foreign routes and addresses in these are allowed
	Shared  bool           `json:",omitempty"` // Prefix is shared by another server: no DNS resolver of this one may lie in it
	UDPPort uint16         // must be free; 0: unused
	TCPPort uint16         `json:",omitempty"` // must be free; 0: unused
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

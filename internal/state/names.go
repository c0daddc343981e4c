package state

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

const ifNameMax = 15 // bytes: IFNAMSIZ of linux/if.h less the NUL

var (
	ifNameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@-]*$`)
	dottedQuad = regexp.MustCompile(`^[0-9.]+$`)
)

// CheckName is spec.CheckName: names in the cluster file are names that every server
// accepts.
func CheckName(what, name string) error { return spec.CheckName(what, name) }

// Member is a server's membership in a network, and the underlay that it uses there. At
// most one of Interface and Addr is set; without both, it is the interface of the
// server's default route.
type Member struct {
	Server    string
	Interface string     // at most 15 bytes
	Addr      netip.Addr // unicast, without zone, not link-local IPv6
}

// ParseMember reads SERVER, SERVER:INTERFACE, SERVER:IP or SERVER:[IPv6].
// ParseMember and String are each other's inverse.
func ParseMember(s string) (Member, error) {
	server, underlay, more := strings.Cut(s, ":")
	if err := CheckName("server", server); err != nil {
		return Member{}, hint.With(err, memberWhere(s), "")
	}
	m := Member{Server: server}
	if !more {
		return m, nil
	}
	var err error
	if text, ok := strings.CutPrefix(underlay, "["); ok {
		m.Addr, err = bracketed(s, text)
		return m, err
	}
	if addr, err := netip.ParseAddr(underlay); err == nil {
		if addr.Is6() && checkUnderlay(s, addr) != nil {
			return Member{}, checkUnderlay(s, addr)
		}
		if addr.Is6() {
			return Member{}, refuseMember(s, server+":["+underlay+"]", "IPv6 address %s is written without brackets", underlay)
		}
		m.Addr = addr
		return m, checkUnderlay(s, addr)
	}
	m.Interface = underlay
	return m, checkInterface(s, underlay)
}

// String is the member as the command line has it.
func (m Member) String() string {
	switch {
	case m.Addr.Is6():
		return m.Server + ":[" + m.Addr.String() + "]"
	case m.Addr.IsValid():
		return m.Server + ":" + m.Addr.String()
	case m.Interface != "":
		return m.Server + ":" + m.Interface
	}
	return m.Server
}

// Share is a container subnet behind a server.
type Share struct {
	Server string
	Subnet netip.Prefix // masked
}

// ParseShare reads SERVER:CIDR. ParseShare and String are each other's inverse.
func ParseShare(s string) (Share, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return Share{}, hint.Errorf(shareWhere(s), "SERVER:"+p.Masked().String(), "%s: which server is it behind", s)
	}
	server, text, more := strings.Cut(s, ":")
	if err := CheckName("server", server); err != nil {
		return Share{}, hint.With(err, shareWhere(s), "")
	}
	if !more {
		return Share{}, hint.Errorf(shareWhere(s), "SERVER:CIDR, for example "+server+":10.0.10.0/24", "%s names no subnet", s)
	}
	if inner, ok := strings.CutPrefix(text, "["); ok { // as members have it
		text = strings.Replace(inner, "]", "", 1)
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return Share{}, hint.Errorf(shareWhere(s), "SERVER:CIDR, for example "+server+":10.0.10.0/24", "%q is not a subnet", text)
	case p != p.Masked():
		return Share{}, hint.Errorf(shareWhere(s), server+":"+p.Masked().String(), "%s has bits set behind its prefix", p)
	}
	return Share{server, p}, nil
}

// String is the share as the command line has it.
func (s Share) String() string { return s.Server + ":" + s.Subnet.String() }

func shareWhere(s string) string { return "subnet " + s }

// bracketed reads a member from the opening bracket on.
func bracketed(member, text string) (netip.Addr, error) {
	text, closed := strings.CutSuffix(text, "]")
	if !closed {
		return netip.Addr{}, refuseMember(member, "SERVER:[IPv6]", "']' is missing at the end of %q", member)
	}
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, refuseMember(member, "SERVER:[IPv6], SERVER:IP or SERVER:INTERFACE", "%q is not an IPv6 address", text)
	case addr.Is4():
		return netip.Addr{}, refuseMember(member, "write it without brackets", "%s is an IPv4 address in brackets", text)
	case addr.Is4In6():
		return netip.Addr{}, refuseMember(member, "write it as "+addr.Unmap().String(), "%s is an IPv4 address in IPv6 form", text)
	}
	return addr, checkUnderlay(member, addr)
}

func checkUnderlay(member string, addr netip.Addr) error {
	switch {
	case addr.Is6() && (addr.Zone() != "" || addr.IsLinkLocalUnicast()):
		return refuseMember(member, "name a global or unique local address (fd00::/8) of the server, or its interface",
			"IPv6 scope: %s is link-local and means something else on every link", addr)
	case addr.IsMulticast() || addr.IsUnspecified() || addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return refuseMember(member, "name an address that the other servers reach", "%s is not the address of a server", addr)
	}
	return nil
}

// checkInterface refuses names that the kernel does not allow for a device
// (dev_valid_name in net/core/dev.c), and names that a shell would change.
func checkInterface(member, name string) error {
	switch {
	case name == "":
		return refuseMember(member, "SERVER:INTERFACE, SERVER:IP or just SERVER", "nothing follows the ':' of %q", member)
	case len(name) > ifNameMax:
		return refuseMember(member, "ip -br link, on the server, lists its interfaces",
			"interface name %q has %d bytes, the kernel takes %d", name, len(name), ifNameMax)
	case dottedQuad.MatchString(name) && strings.Contains(name, "."):
		return refuseMember(member, "SERVER:IP with four numbers from 0 to 255", "%q is not an IPv4 address", name)
	case !ifNameForm.MatchString(name):
		return refuseMember(member, "SERVER, SERVER:INTERFACE, SERVER:IP or SERVER:[IPv6]", "%q is neither an interface name nor an address", name)
	}
	return nil
}

func memberWhere(s string) string { return "member " + s }

func refuseMember(member, next, format string, args ...any) error {
	return hint.Errorf(memberWhere(member), next, format, args...)
}

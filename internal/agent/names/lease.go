package names

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Reserved are host names that programs look for unasked, or that stand for a
// server: no container gets one of them by asking for it.
func Reserved() []string {
	return spec.ReservedNames()
}

// ByAddress are the names in the text of a lease file by IPv4 address, those left out that
// nobody gets. Of two leases with one name the first has it.
func ByAddress(text string, d spec.DHCP) map[string]string {
	out, taken := map[string]string{}, map[string]bool{}
	for _, c := range leasesOf(text, d, nil) {
		if !taken[c.name] {
			taken[c.name] = true
			out[c.Addr] = c.name
		}
	}
	return out
}

// leasesOf are the leases of IPv4 in the text of a lease file whose names are not
// somebody else's from the first. What has none has that by which its MAC is known.
func leasesOf(text string, d spec.DHCP, known map[string]string) (out []*Claim) {
	for line := range strings.Lines(text) {
		if c := readLease(strings.Fields(line), known); c != nil && CanHave(c.name, d) {
			out = append(out, c)
		}
	}
	return out
}

// CanHave says whether a container can have a name in d's domain: it is one of a host, and not
// kept for servers.
func CanHave(name string, d spec.DHCP) bool {
	is := func(h spec.HostName) bool { return strings.EqualFold(h.Name, name) }
	return isHostName(name) && !slices.Contains(Reserved(), strings.ToLower(name)) && !slices.ContainsFunc(d.Hosts, is)
}

// readLease reads the words of a lease of IPv4 with a name; until is the number in it. A
// lease without a name has that by which its MAC is known. It is nil for what is neither.
// The last word, the client's id, says nothing, not even where it looks like a number.
func readLease(f []string, known map[string]string) *Claim {
	if !isLease(f) || strings.Contains(f[2], ":") {
		return nil
	}
	name, mac := f[3], strings.ToLower(f[1])
	if name == "*" {
		name = known[mac]
	}
	if !isHostName(name) {
		return nil
	}
	c := &Claim{name: strings.ToLower(name), MAC: mac, Addr: f[2]}
	c.until, _ = strconv.ParseInt(f[0], 10, 64) // of more bits: the longest
	c.until = min(c.until, longest)
	return c
}

// isHostName says whether dnsmasq takes text for the name of a host (legal_hostname);
// in place of none stands a star.
func isHostName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return text != "" && len(text) <= 63 && text[0] != '-' && strings.Trim(text, letters) == ""
}

// LeasesIn keeps the lines of a dnsmasq lease file that are leases in one of the
// ranges: expiry (s since 1970), MAC or IPv6's IAID, address, name, client id; and the
// server's own id (duid), which IPv6 clients renew with. What another server sent is
// not copied unread.
func LeasesIn(text string, ranges []spec.Range) string {
	var b strings.Builder
	duid, leases6 := "", false
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 2 && f[0] == "duid" && isID(f[1]) {
			duid = strings.Join(f, " ") + "\n"
		}
		if !isLease(f) {
			continue
		}
		addr, err := netip.ParseAddr(f[2])
		if err != nil || !slices.ContainsFunc(ranges, func(r spec.Range) bool { return inRange(addr, r) }) {
			continue
		}
		if addr.Is6() && !leases6 {
			leases6 = true
			b.WriteString(duid)
		}
		b.WriteString(strings.Join(f, " ") + "\n")
	}
	return b.String()
}

// isLease says whether the words of a line are a lease as dnsmasq 2.90 writes it
// (lease.c): in place of IPv4's MAC stands IPv6's IAID, with a T if the address is a
// temporary one.
func isLease(f []string) bool {
	if len(f) != 5 {
		return false
	}
	_, expiryErr := strconv.ParseUint(f[0], 10, 64)
	addr, addrErr := netip.ParseAddr(f[2])
	if expiryErr != nil || addrErr != nil {
		return false
	}
	if addr.Is4() {
		_, err := net.ParseMAC(f[1])
		return err == nil
	}
	_, err := strconv.ParseUint(strings.TrimPrefix(f[1], "T"), 10, 32)
	return err == nil && isID(f[4])
}

// isID says whether text is bytes as dnsmasq writes them: 00:01:a2.
func isID(text string) bool {
	_, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	return err == nil && text != ""
}

// HandsOut says whether d's server gives addr to containers.
func HandsOut(d spec.DHCP, addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err != nil || slices.ContainsFunc(d.Ranges, func(r spec.Range) bool { return inRange(a, r) })
}

func inRange(a netip.Addr, r spec.Range) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

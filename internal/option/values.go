package option

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// One validator per value: what a flag refuses, a cluster file refuses, by the name of
// the key. Values are looked at one by one here; what they mean together is for the
// kinds.

// span is the numbers that an option takes.
type span struct {
	what, flag string
	min, max   int64
}

var (
	vniSpan       = span{"VNI", "-v", 1, maxVNI}
	vlanSpan      = span{"VLAN", "--vlan", 1, 4094}
	portSpan      = span{"port", "-p", 1, 65535}
	mtuSpan       = span{"MTU", "--mtu", ground.MinMTU, 65535}
	keepaliveSpan = span{"keepalive", "--keepalive", 1, maxKeepalive}
	holdSpan      = span{"hold time", "--hold", minHold, maxHold}
	bfdSpan       = span{"BFD interval", "--bfd=MS", minBFD, maxBFD}
	keySpan       = span{"key", "--key", 1, maxTunnelKey}
	ttlSpan       = span{"TTL", "--ttl", 1, 255}
	hopsSpan      = span{"multihop", "--multihop", 2, maxHops}
	prefixesSpan  = span{"max-prefixes", "--max-prefixes", 1, 1<<31 - 1}
	prefSpan      = span{"local preference", "--local-pref", 1, 1<<32 - 1}
	medSpan       = span{"MED", "--med", 1, 1<<32 - 1}
	prependSpan   = span{"prepend", "--prepend", 1, 32}
	lengthSpan    = span{"subnet length", "--subnet-len", 1, 128}
)

// check refuses what the option does not take.
func (s span) check(value int64) error {
	if value < s.min || value > s.max {
		return hint.Errorf("", fmt.Sprintf("%s with a number from %d to %d", s.flag, s.min, s.max), "%s %d is out of range", s.what, value)
	}
	return nil
}

// given is check for an option whose 0 says that it was not given.
func (s span) given(value int64) error {
	if value == 0 {
		return nil
	}
	return s.check(value)
}

// value is the check of what one key of a file says.
type value struct {
	key   string
	check func() error
}

// firstBad is the first error of values, at its key.
func firstBad(values []value) error {
	for _, v := range values {
		if err := v.check(); err != nil {
			return hint.Pin(err, v.key)
		}
	}
	return nil
}

// CheckLogin refuses an address, user, jump host or key file that addserver refuses.
func CheckLogin(s *state.Server) error {
	return firstBad([]value{
		{"address", func() error { return text(s.Address, target.CheckHost) }},
		{"user", func() error { return text(s.User, target.CheckUser) }},
		{"jump", func() error { return text(s.Jump, target.CheckJump) }},
		{"identity", func() error { return text(s.Identity, target.CheckIdentity) }},
	})
}

// CheckReach refuses an underlay, or an endpoint, that the server of a name cannot have.
func CheckReach(name string, s *state.Server) error {
	return firstBad([]value{
		{"interface", func() error { return text(s.Interface, checkUnderlayOf(name)) }},
		{"endpoint", func() error { return text(s.Endpoint, checkEndpoint) }},
	})
}

// text checks a text that was given.
func text(s string, check func(string) error) error {
	if s == "" {
		return nil
	}
	return check(s)
}

// checkDealtValues refuses what flock would not have dealt out.
func checkDealtValues(n *state.Network) error {
	for _, name := range slices.Sorted(maps.Keys(n.Allocated)) {
		where := "allocated." + name
		if err := state.CheckName("server", name); err != nil {
			return hint.Pin(err, where)
		}
		if err := checkKey(n.Allocated[name].Key); err != nil {
			return hint.Pin(err, where)
		}
	}
	return nil
}

// checkKey refuses what cannot be a public key. What is none all the same, the servers
// refuse: keys are theirs.
func checkKey(key string) error {
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return hint.Errorf("", "leave the key away: flock apply asks the server for it", "%q is not a public key", key)
	}
	return nil
}

// maxKey is more than a key of WireGuard's has (44) and less than what stands in for one.
const maxKey = 128

// oneOf refuses all words but some.
func oneOf(flag, what string, words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return hint.Errorf("", flag+" with one of: "+ground.JoinWords(words), "unknown %s %q", what, s)
	}
}

// CheckMode refuses what is no mode of BGP networks.
func CheckMode(mode string) error { return oneOf("--mode", "mode", state.Mesh, state.Reflector)(mode) }

func givenAS(as uint32) error {
	if as == 0 {
		return nil
	}
	return CheckAS(as)
}

// checkUnderlay refuses what no server can have for its part in a network.
func checkUnderlay(where string) error {
	if err := checkUnderlayOf("s")(where); err != nil {
		return hint.Errorf("", "-i with the name or the address of an interface", "%v", err) // its own advice is about members
	}
	return nil
}

func checkUnderlayOf(server string) func(string) error {
	return func(where string) error {
		_, err := state.ParseMember(ground.MemberText(server, where))
		return err
	}
}

func checkGroup(g netip.Addr) error {
	if g.IsValid() && !groupOK(g) {
		return hint.Errorf("", "-m with a group such as 239.0.0.42 or ff08::42", "%s is not a multicast group that networks may use", g)
	}
	return nil
}

func checkBridgeName(name string) error { return CheckIfName("bridge", name) }

// CheckIfName refuses what the kernel would not take as a device's name
// (dev_valid_name in net/core/dev.c), what would not survive a shell, and names that
// settings of the kernel have a meaning of their own for (sysctl_dev_name_is_allowed in
// net/ipv4/devinet.c).
func CheckIfName(what, name string) error {
	switch {
	case len(name) > spec.IfNameMax:
		return hint.Errorf("", "a name of at most 15 bytes", "%s name %q has %d bytes, the kernel takes %d", what, name, len(name), spec.IfNameMax)
	case !ifName.MatchString(name):
		return hint.Errorf("", "a name of letters, digits, '-', '_' and '.'", "%s name %q is not an interface name", what, name)
	case name == "all" || name == "default" || name == "lo":
		return hint.Errorf("", "another name", "%s name %q has a meaning of its own in the kernel", what, name)
	}
	return nil
}

func checkDomain(domain string) error {
	ok := len(domain) <= 253
	for part := range strings.SplitSeq(domain, ".") {
		ok = ok && len(part) <= 63 && label.MatchString(part)
	}
	if !ok {
		return hint.Errorf("", "-d with a name such as "+DefaultDomain, "%q is not a DNS domain", domain)
	}
	return nil
}

// checkEndpoint refuses what others could not reach a server by.
func checkEndpoint(endpoint string) error {
	const next = "--endpoint HOST, HOST:PORT or [IPv6]:PORT"
	host, port := splitEndpoint(WithPort(endpoint, WireGuardPort))
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return hint.Errorf("", next, "%q is not an endpoint", endpoint)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			return hint.Errorf("", next, "endpoint %s is not an address that others reach", host)
		}
		return nil
	}
	if err := checkDomain(strings.TrimSuffix(host, ".")); err != nil {
		return hint.Errorf("", next, "endpoint %q is neither an address nor a DNS name", host)
	}
	return nil
}

// CheckHold refuses a hold time, in seconds, that no BGP session can have.
func CheckHold(seconds int64) error { return holdSpan.check(seconds) }

// CheckTunnelKey refuses a number that no tunnel can have for its key.
func CheckTunnelKey(key int64) error { return keySpan.check(key) }

// CheckTTL refuses a number that no packet can have for its TTL.
func CheckTTL(ttl int64) error { return ttlSpan.check(ttl) }

// groupOK says whether g can carry a network: link-local IPv4 groups
// (224.0.0.0/24) belong to protocols, and an IPv6 group needs a scope beyond the
// interface (RFC 4291).
func groupOK(g netip.Addr) bool {
	return g.IsMulticast() && !g.IsInterfaceLocalMulticast() && g.Zone() == "" && !g.Is4In6() &&
		!netip.MustParsePrefix("224.0.0.0/24").Contains(g)
}

// CheckBFD refuses milliseconds that BFD packets cannot be apart; 0 says that there are none.
func CheckBFD(ms int64) error { return bfdSpan.given(ms) }

// CheckHops refuses a number of hops that no session can go; 0 says that none was given.
func CheckHops(hops int) error { return hopsSpan.given(int64(hops)) }

// CheckMaxPrefixes refuses a limit of prefixes that no session can have; 0: none was given.
func CheckMaxPrefixes(most int) error { return prefixesSpan.given(int64(most)) }

// CheckPreference refuses what no path can have: a local preference, a MED, and how often
// an AS is repeated; 0: none was given.
func CheckPreference(pref, med, prepend int64) error {
	return cmp.Or(prefSpan.given(pref), medSpan.given(med), prependSpan.given(prepend))
}

// mostCommunities is how many communities a path may be given.
const mostCommunities = 32

// CheckCommunities refuses a list of communities that no path can have (RFC 1997): A:B, two
// numbers of 16 bits.
func CheckCommunities(list []string) error {
	const next = "--community A:B with two numbers from 0 to 65535, for example 65001:100"
	if len(list) > mostCommunities {
		return hint.Errorf("", fmt.Sprintf("--community at most %d times", mostCommunities), "%d communities are too many", len(list))
	}
	for i, c := range list {
		a, b, _ := strings.Cut(c, ":")
		for _, n := range []string{a, b} {
			if v, err := strconv.ParseUint(n, 10, 16); err != nil || strconv.FormatUint(v, 10) != n {
				return hint.Errorf("", next, "%q is not a community", c)
			}
		}
		if slices.Contains(list[:i], c) {
			return hint.Errorf("", next, "the community %s is there twice", c)
		}
	}
	return nil
}

var (
	ifName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	label  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`) // RFC 1123, of up to 63 bytes
)

// IsInterfaceName says whether a device can be called name.
func IsInterfaceName(name string) bool {
	return len(name) <= spec.IfNameMax && ifName.MatchString(name)
}

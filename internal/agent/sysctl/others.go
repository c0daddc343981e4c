package sysctl

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/nft"
)

// A setting that no network of ours needs any more goes back to what it was before us,
// unless somebody else came to rely on it meanwhile: Docker and libvirt switch forwarding
// on where it is off, and do not ask again.

// The switches of forwarding, as paths below /proc/sys.
const (
	ForwardingIPv4 = "net/ipv4/ip_forward"
	ForwardingIPv6 = "net/ipv6/conf/all/forwarding"
)

// Others is what others on this server have that wants forwarding.
type Others struct {
	Bridges []Bridge
	Rules   []nft.OtherRules
	Tunnels []string // WireGuard devices
	Daemons []string // programs that run and make networks as they like
	Files   map[string]Setting
	Routes6 bool // IPv6 will be forwarded once all is done
}

// Bridge is a bridge that is not flock's.
type Bridge struct {
	Name      string
	Ports     int  // that are not flock's
	Four, Six bool // it has an address of the family, for containers to be routed by
	Leads     bool // a default route goes by it: it is an uplink
}

// Setting is what files of sysctl.d(5) set at boot.
type Setting struct{ Value, Path string }

// KeptFor says for whom a setting stays at value instead of what was found before us;
// "" for nobody. Key is one of those that specs ask for, or a device's accept_ra.
func (s *Others) KeptFor(key, value string) string {
	if set, ok := s.AtBoot(key); ok && set.Value == value {
		return set.Path
	}
	switch {
	case key == ForwardingIPv4:
		return s.forwardsFor(false)
	case key == ForwardingIPv6:
		return s.forwardsFor(true)
	case AcceptsRA(key) > 0 && s.Routes6:
		return "IPv6 forwarding" // without it the server would lose its own router
	}
	return ""
}

// AtBoot is what files set key to: one that names it comes before patterns.
func (s *Others) AtBoot(key string) (Setting, bool) {
	if set, ok := s.Files[key]; ok {
		return set, true
	}
	for _, pattern := range slices.Sorted(maps.Keys(s.Files)) {
		if ok, err := path.Match(pattern, key); err == nil && ok {
			return s.Files[pattern], true
		}
	}
	return Setting{}, false
}

// forwardsFor names the first who wants a family forwarded, "" for nobody. Of tunnels and
// daemons nobody can tell which they use.
func (s *Others) forwardsFor(six bool) string {
	of := func(four, isSix bool) bool { return four && !six || isSix && six }
	for _, b := range s.Bridges {
		if b.Ports > 0 && !b.Leads && of(b.Four, b.Six) {
			return b.Name
		}
	}
	for _, r := range s.Rules {
		if of(r.Four, r.Six) {
			return r.What
		}
	}
	if any := slices.Concat(s.Tunnels, s.Daemons); len(any) > 0 {
		return any[0]
	}
	return ""
}

// bootSettings reads files of sysctl.d(5), in the order in which they hold: a later one
// wins.
func bootSettings(files []textFile) map[string]Setting {
	out := map[string]Setting{}
	for _, f := range files {
		for line := range strings.Lines(f.text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "-")
			key, value, ok := strings.Cut(line, "=")
			if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
				continue
			}
			key = settingKey(strings.TrimSpace(key))
			out[key] = Setting{strings.Join(strings.Fields(value), " "), f.path}
		}
	}
	return out
}

type textFile struct{ path, text string }

// settingKey is a setting as a path below /proc/sys: the first separator tells which of
// the two ways it is written in. All devices' forwarding is the switch of IPv4's.
func settingKey(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		name = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	if name == "net/ipv4/conf/all/forwarding" {
		return ForwardingIPv4
	}
	return name
}

// AcceptsRA is 1 for the setting by which a device takes router advertisements, else 0.
func AcceptsRA(key string) int {
	if strings.HasSuffix(key, "/accept_ra") {
		return 1
	}
	return 0
}

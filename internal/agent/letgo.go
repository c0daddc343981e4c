package agent

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

const (
	forwardingIPv4 = "net/ipv4/ip_forward"
	forwardingIPv6 = "net/ipv6/conf/all/forwarding"
)

// surroundings are what others on this server have that wants forwarding.
type surroundings struct {
	bridges []otherBridge
	rules   []nft.OtherRules
	tunnels []string // WireGuard devices
	daemons []string // programs that run and make networks as they like
	files   map[string]bootSetting
	routes6 bool // IPv6 will be forwarded once all is done
}

// otherBridge is a bridge that is not flock's.
type otherBridge struct {
	name      string
	ports     int  // that are not flock's
	four, six bool // it has an address of the family, for containers to be routed by
	leads     bool // a default route goes by it: it is an uplink
}

// bootSetting is what files of sysctl.d(5) set at boot.
type bootSetting struct{ value, path string }

// keptFor says for whom a setting stays at value instead of what was found before us;
// "" for nobody. Key is one of those that specs ask for, or a device's accept_ra.
func (s *surroundings) keptFor(key, value string) string {
	if set, ok := s.atBoot(key); ok && set.value == value {
		return set.path
	}
	switch {
	case key == forwardingIPv4:
		return s.forwardsFor(false)
	case key == forwardingIPv6:
		return s.forwardsFor(true)
	case acceptsRA(key) > 0 && s.routes6:
		return "IPv6 forwarding" // without it the server would lose its own router
	}
	return ""
}

// atBoot is what files set key to: one that names it comes before patterns.
func (s *surroundings) atBoot(key string) (bootSetting, bool) {
	if set, ok := s.files[key]; ok {
		return set, true
	}
	for _, pattern := range slices.Sorted(maps.Keys(s.files)) {
		if ok, err := path.Match(pattern, key); err == nil && ok {
			return s.files[pattern], true
		}
	}
	return bootSetting{}, false
}

// forwardsFor names the first who wants a family forwarded, "" for nobody. Of tunnels and
// daemons nobody can tell which they use.
func (s *surroundings) forwardsFor(six bool) string {
	of := func(four, isSix bool) bool { return four && !six || isSix && six }
	for _, b := range s.bridges {
		if b.ports > 0 && !b.leads && of(b.four, b.six) {
			return b.name
		}
	}
	for _, r := range s.rules {
		if of(r.Four, r.Six) {
			return r.What
		}
	}
	if any := slices.Concat(s.tunnels, s.daemons); len(any) > 0 {
		return any[0]
	}
	return ""
}

// bootSettings reads files of sysctl.d(5), in the order in which they hold: a later one
// wins.
func bootSettings(files []textFile) map[string]bootSetting {
	out := map[string]bootSetting{}
	for _, f := range files {
		for line := range strings.Lines(f.text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "-")
			key, value, ok := strings.Cut(line, "=")
			if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
				continue
			}
			key = settingKey(strings.TrimSpace(key))
			out[key] = bootSetting{strings.Join(strings.Fields(value), " "), f.path}
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
		return forwardingIPv4
	}
	return name
}

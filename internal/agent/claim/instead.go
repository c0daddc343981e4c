//go:build linux

package claim

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// What is taken here gets another value there: advice is a command of the workstation's,
// which says it otherwise where the network is not in its file yet.

// ownNetwork stands where a network's name would for the server's own bridge.
const ownNetwork = "subnet"

// mendOwner is the advice where ours has no choice.
const mendOwner = "have its owner take another"

// setting is the command that gives a network another value.
//
//go:noinline
func setting(network, flags string) string { return "flock setnetwork " + network + " " + flags }

// adviseSubnet is the advice for a claim of want whose subnet is taken.
func adviseSubnet(want *spec.Host, c spec.Claim, foreign []occupant) string {
	free := "CIDR"
	if p := freePrefix(c.Prefix, foreign); p.IsValid() {
		free = p.String()
	}
	if c.Network == ownNetwork {
		for _, a := range want.Adopted {
			free += " --adopt " + a.Link
		}
		return "flock setsubnet " + want.Server + " " + free
	}
	pool := false // its members are on no common subnet
	for i := range want.Envs {
		pool = pool || want.Envs[i].Network == c.Network
	}
	if kind := kindOn(want, c.Network, c.Prefix); !pool {
		switch {
		case c.Shared || kind == "":
			return "share another subnet"
		case spec.IPTunnel(kind):
			return setting(c.Network, "--addresses A/30,B/30")
		case kind == spec.WireGuard && bridged(want, c.Network):
			return "flock apply -f FILE, with another mesh there" // of an l2 network, which has no flag
		}
	} else if c.Shared {
		return "share another subnet"
	}
	flags := "-s " + free
	for i := range want.Claims {
		o := &want.Claims[i]
		if o.Network == c.Network && o.Prefix.IsValid() && !o.Shared && o.Prefix.Addr().Is6() != c.Prefix.Addr().Is6() && (pool || kindOn(want, o.Network, o.Prefix) != "") {
			flags += " -s " + o.Prefix.String()
		}
	}
	return setting(c.Network, flags)
}

// kindOn is the kind of a network's link that has an address in p, "" if none has.
func kindOn(want *spec.Host, network string, p netip.Prefix) string {
	for i := range want.Addrs {
		if !p.Contains(want.Addrs[i].Prefix.Addr()) {
			continue
		}
		for j := range want.Links {
			if l := &want.Links[j]; l.Name == want.Addrs[i].Link && l.Network == network {
				return l.Kind
			}
		}
	}
	return ""
}

// bridged says whether a network has a bridge.
func bridged(want *spec.Host, network string) bool {
	for i := range want.Links {
		if l := &want.Links[i]; l.Network == network && l.Kind == spec.Bridge {
			return true
		}
	}
	return false
}

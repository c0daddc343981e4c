//go:build linux

package claim

import (
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// resolverFiles say whom this server asks for names: resolv.conf(5), and what
// systemd-resolved asks where that names its own stub.
var resolverFiles = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// claimResolvers are the shares of other servers that come new and would take the way to a
// resolver of this one. A resolver that comes later is whose change it is.
func claimResolvers(k *host.Host, claims []spec.Claim) []spec.Problem {
	before := map[netip.Prefix]bool{}
	if last := k.Last(); last != nil {
		for _, c := range last.Claims {
			before[c.Prefix] = true
		}
	}
	var out []spec.Problem
	var resolvers []netip.Addr
	for _, c := range claims {
		if !c.Shared || before[c.Prefix] {
			continue
		}
		if resolvers == nil {
			resolvers = resolversOf(resolverFiles)
		}
		for _, a := range resolvers {
			if c.Prefix.Contains(a) {
				out = append(out, spec.Problem{
					What: c.Prefix.String() + " holds this server's resolver " + a.String(),
					Next: "share what is behind that server alone; or --force, if the resolver is there",
				})
			}
		}
	}
	return out
}

// resolversOf are the resolvers that files name, loopback aside. Files that cannot be read
// name none.
func resolversOf(files []string) []netip.Addr {
	var out []netip.Addr
	for _, path := range files {
		data, err := sysfile.Read(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			if a, err := netip.ParseAddr(words[1]); err == nil && !a.IsLoopback() {
				out = append(out, a.Unmap().WithZone(""))
			}
		}
	}
	return out
}

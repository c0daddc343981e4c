package segment

import (
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Attached is an interface of a container on a server.
type Attached struct {
	Server string
	spec.Attachment
}

var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

// isLabel says whether name can be one label of a DNS name (RFC 1035, 2.3.4).
func isLabel(name string) bool { return len(name) <= 63 && label.MatchString(name) }

// Name writes list, the interfaces of containers on d's segment, into d, and returns what it
// cannot do. The first of several with one name has it; owner has those of before, by name, and
// then those of list. A fixed address is nobody else's, and a client in the container that asks is
// given it.
func Name(d *spec.DHCP, list []Attached, owner map[string]string) (notes []string) {
	for _, h := range d.Hosts {
		owner[strings.ToLower(h.Name)] = "server " + h.Name
	}
	hosts := slices.Clone(d.Hosts)
	leases := map[string]bool{}
	for _, a := range list {
		_, name, _ := strings.Cut(a.Container, "/")
		who, key := a.Server+":"+a.Container, strings.ToLower(name)
		switch other := owner[key]; {
		case !isLabel(name) || slices.Contains(spec.ReservedNames(), key):
			notes, name = append(notes, who+" has no name in DNS: "+name+" cannot be a container's"), ""
		case other != "" && other != who:
			notes, name = append(notes, who+" has no name in DNS: "+name+" is "+other), ""
		default:
			owner[key] = who
		}
		known := spec.KnownClient{MAC: a.MAC, Name: name}
		for _, p := range a.Addrs {
			if name != "" {
				hosts = append(hosts, spec.HostName{Name: name, Addr: p.Addr()})
			}
			if Reservable(p.Masked()) {
				known.Addrs = append(known.Addrs, p.Addr())
			}
		}
		if name != "" && leases[key] { // dnsmasq gives a name to one client
			known.Name = ""
		}
		if len(a.Addrs) > 0 && len(known.Addrs) == 0 || known.Name == "" && len(known.Addrs) == 0 {
			continue
		}
		leases[key] = true
		d.Known = append(d.Known, known)
	}
	d.Hosts = hosts
	return notes
}

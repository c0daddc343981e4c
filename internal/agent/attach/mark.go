//go:build linux

package attach

import (
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// What an interface of a container is for stands in the alias of its other end, on the
// server: flock:CLUSTER/NETWORK/KIND/NAME/INTERFACE ADDRESSES, and of one that flock did not
// make, what it was before: was BRIDGE MAC ADDRESSES GATEWAYS. Nothing has to be remembered,
// and a container that goes takes the pair along.

const veth = "veth"

// wasWord begins what an interface was before.
const wasWord = " was "

// aliasMax is the longest alias that the kernel takes (IFALIASZ less its end), in bytes.
const aliasMax = 255

// mark is what an alias says beside whose the interface is.
type mark struct {
	given string  // the addresses that flock gave to it
	was   *former // nil: flock made it
}

// readMark reads what follows flock:CLUSTER/.
func readMark(text string) (a spec.Attachment, m mark) {
	text, before, moved := strings.Cut(text+" ", wasWord) // of one that was on no bridge, nothing may follow
	text, m.given, _ = strings.Cut(strings.TrimRight(text, " "), " ")
	words := strings.Split(text, "/")
	if len(words) != 4 {
		words = []string{words[0], "", "", ""}
	}
	if moved {
		was := strings.Split(before, " ")
		was = append(was, "", "", "", "")
		m.was = &former{bridge: was[0], mac: was[1], addrs: parseAll(was[2], netip.ParsePrefix), gateways: parseAll(was[3], netip.ParseAddr)}
	}
	return spec.Attachment{Network: words[0], Container: words[1] + "/" + words[2], Interface: words[3], Moved: moved}, m
}

// attachedAs reads what stands in the alias of l.
func attachedAs(k *host.Host, l netlink.Link) (a spec.Attachment, m mark, ok bool) {
	text, ours := k.Network(l)
	if !ours || l.Type() != veth {
		return a, m, false
	}
	a, m = readMark(text)
	a.Host, a.Bridge = l.Attrs().Name, k.Devices.Name(l.Attrs().MasterIndex)
	return a, m, true
}

func attachedAlias(cluster string, a spec.Attachment) string {
	return strings.TrimSuffix(spec.Alias(cluster, a.Network+"/"+a.Container+"/"+a.Interface+" "+joined(a.Addrs)), " ")
}

// movedAlias is the alias of an interface that was something else before. Of that the
// bridge has room always, the MAC and addresses where names are not the longest.
func movedAlias(cluster string, a spec.Attachment, was *former) string {
	text := attachedAlias(cluster, a) + wasWord + was.bridge
	for _, more := range []string{was.mac, joined(was.addrs), joined(was.gateways)} {
		if len(text)+1+len(more) > aliasMax {
			break
		}
		text += " " + more
	}
	return strings.TrimRight(text, " ")
}

// joined are the texts of a list, with commas.
func joined[T interface{ String() string }](list []T) string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return strings.Join(out, ",")
}

func parseAll[T any](text string, parse func(string) (T, error)) []T {
	var out []T
	for word := range strings.SplitSeq(text, ",") {
		if v, err := parse(word); err == nil {
			out = append(out, v)
		}
	}
	return out
}

//go:build linux

package claim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// libvirtDir holds libvirt's networks, one XML file each, running or not.
const libvirtDir = "/etc/libvirt/qemu/networks"

// libvirtNetworks are the IPv4 networks that libvirt is to make, sorted. It starts
// none whose subnet the main table has a route to, whatever the route's metric and
// type (bridge_driver_linux.c, networkCheckRouteCollision).
func libvirtNetworks(dir string) ([]netip.Prefix, error) {
	files, _ := sysfile.List(dir, "", ".xml") // libvirt cannot start what cannot be read
	var out []netip.Prefix
	for _, file := range files {
		data, err := sysfile.Read(file)
		if err != nil {
			return nil, fmt.Errorf("read libvirt's network: %w", err)
		}
		out = append(out, libvirtSubnets(string(data))...)
	}
	spec.SortPrefixes(out)
	return slices.Compact(out), nil
}

// libvirtSubnets reads the <ip> elements of a network as libvirt writes them. An
// XML parser would be a tenth of the agent; what is not like that is left out.
func libvirtSubnets(text string) []netip.Prefix {
	var out []netip.Prefix
	for tag := range strings.SplitSeq(text, "<ip ") {
		tag, _, _ = strings.Cut(tag, ">")
		addr, err := netip.ParseAddr(xmlAttr(tag, "address"))
		if err != nil || addr.Is6() {
			continue
		}
		bits, err := strconv.Atoi(xmlAttr(tag, "prefix"))
		if mask := net.ParseIP(xmlAttr(tag, "netmask")).To4(); mask != nil {
			bits, _ = net.IPMask(mask).Size()
		} else if err != nil {
			continue
		}
		if p, err := addr.Prefix(bits); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// xmlAttr is the value of an attribute of a tag; "" where it has none.
func xmlAttr(tag, name string) string {
	for _, quote := range []string{"'", `"`} {
		if _, rest, found := strings.Cut(" "+tag, " "+name+"="+quote); found {
			value, _, _ := strings.Cut(rest, quote)
			return value
		}
	}
	return ""
}

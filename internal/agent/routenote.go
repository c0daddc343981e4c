//go:build linux

package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// routeFile remembers where routes of ours lead that are not on links of ours: the
// underlay's devices bear no mark, unreachable routes have no device, and two
// clusters share the protocol number.
const routeFile = "routes.json"

// plainRoutes are where want's routes on links of others lead, sorted.
func plainRoutes(want *spec.Host) []netip.Prefix {
	links := make(map[string]bool, len(want.Links))
	for _, l := range want.Links {
		links[l.Name] = true
	}
	var out []netip.Prefix
	for _, r := range want.Routes {
		if !links[r.Dev] && r.Proto == spec.RouteProto {
			out = append(out, r.Dst)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// readNoted reads what was remembered when some route may be meant by it.
func (k *Host) readNoted() error {
	k.noted = nil
	if !slices.ContainsFunc(k.routes, k.maybeNoted) {
		return nil
	}
	list, _, err := k.readRouteNotes()
	k.noted = make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		k.noted[p] = true
	}
	return err
}

// maybeNoted says whether a route may be one that some cluster remembers.
func (k *Host) maybeNoted(r netlink.Route) bool {
	return r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && !flocks(k.devices.byIndex[r.LinkIndex])
}

func soundRoutes(list []netip.Prefix) bool { return len(list) > 0 }

// readRouteNotes returns what is remembered, and whether that stands on the disk as it was
// written. What was lost is what was confirmed, or else, since nobody can tell any more
// which cluster's it is, every route of our number that no other cluster claims.
func (k *Host) readRouteNotes() (list []netip.Prefix, sound bool, err error) {
	note, _, damaged := recall(filepath.Join(k.dir(), routeFile), soundRoutes)
	if damaged {
		k.loses(routeFile)
	}
	if note != nil {
		return *note, !damaged, nil
	}
	last := k.last()
	if last != nil {
		list = plainRoutes(last)
	}
	if len(list) > 0 && !damaged {
		k.loses(routeFile)
	}
	forgotten, err := k.hasForgotten()
	if err != nil || !forgotten && (!damaged || last != nil && !k.begun()) {
		return list, len(list) == 0 && !damaged, err
	}
	list = append(k.unclaimedRoutes(), list...)
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list), false, nil
}

// unclaimedRoutes are where routes lead that may be this cluster's and are not known to
// be another's.
func (k *Host) unclaimedRoutes() []netip.Prefix {
	others := map[netip.Prefix]bool{}
	clusters, _ := k.paths.clusters() // whom nobody can list claims nothing
	for _, cluster := range clusters {
		if cluster == k.cluster {
			continue
		}
		s := filesAt(cluster, k.paths)
		note, _, _ := recall(filepath.Join(s.dir(), routeFile), soundRoutes)
		if note == nil {
			note = &[]netip.Prefix{}
		}
		if last := s.last(); last != nil {
			*note = append(*note, plainRoutes(last)...)
		}
		for _, p := range *note {
			others[p] = true
		}
	}
	var out []netip.Prefix
	for _, r := range k.routes {
		if p := toPrefix(r.Dst); k.maybeNoted(r) && !others[p] {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// noteRoutes remembers the routes of want before they are made, beside those that
// are remembered already: what is left of them is found whatever happens.
func (k *Host) noteRoutes(want *spec.Host) error {
	plain := plainRoutes(want)
	if len(plain) == 0 {
		return nil
	}
	noted, sound, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	all := slices.Concat(noted, plain)
	slices.SortFunc(all, netip.Prefix.Compare)
	all = slices.Compact(all)
	if sound && slices.Equal(noted, all) {
		return nil
	}
	return k.writeRouteNotes(all)
}

// settleRoutes brings what is remembered in line with want when nothing is left to
// do.
func (k *Host) settleRoutes(want *spec.Host) error {
	noted, sound, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	list := plainRoutes(want)
	if sound && slices.Equal(noted, list) {
		return nil
	}
	return k.writeRouteNotes(list)
}

func (k *Host) writeRouteNotes(list []netip.Prefix) error {
	path := filepath.Join(k.dir(), routeFile)
	if len(list) == 0 {
		return removeNote(path)
	}
	data, err := json.Marshal(list)
	if err == nil {
		err = sysfile.MakeDir(k.dir())
	}
	if err == nil {
		err = writeNote(path, string(data)+"\n")
	}
	if err != nil {
		return fmt.Errorf("remember routes: %w", err)
	}
	delete(k.lost, routeFile)
	return nil
}

// unreachable says whether a route is one of flock's that answers for what is not
// there.
func unreachable(r netlink.Route) bool {
	return r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && r.Type == unix.RTN_UNREACHABLE && r.Priority == spec.UnreachableMetric
}

//go:build linux

package host

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// RouteFile remembers where routes of ours lead that are not on links of ours: the
// underlay's devices bear no mark, unreachable routes have no device, and two
// clusters share the protocol number.
const RouteFile = "routes.json"

// UnmarkedRoutes are where want's routes on links of others lead, sorted.
func UnmarkedRoutes(want *spec.Host) []netip.Prefix {
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
	spec.SortPrefixes(out)
	return slices.Compact(out)
}

// readNoted reads what was remembered when some route may be meant by it.
func (k *Host) readNoted() error {
	k.Noted = nil
	if !slices.ContainsFunc(k.Routes, k.maybeNoted) {
		return nil
	}
	list, _, err := k.readRouteNotes()
	k.Noted = make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		k.Noted[p] = true
	}
	// Also where a route of ours on a link of ours led: one of our number that somebody has
	// put in its place on another link is drift.
	if last := k.Last(); last != nil {
		for _, r := range last.Routes {
			k.Noted[r.Dst] = k.Noted[r.Dst] || r.Proto == spec.RouteProto && !r.Unreachable
		}
	}
	return err
}

// maybeNoted says whether a route may be one that some cluster remembers.
func (k *Host) maybeNoted(r netlink.Route) bool {
	return r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && !Flocks(k.Devices.ByIndex[r.LinkIndex])
}

func soundRoutes(list []netip.Prefix) bool { return len(list) > 0 }

// readRouteNotes returns what is remembered, and whether that stands on the disk as it was
// written. What was lost is what was confirmed, or else, since nobody can tell any more
// which cluster's it is, every route of our number that no other cluster claims.
func (k *Host) readRouteNotes() (list []netip.Prefix, sound bool, err error) {
	note, damaged := Recall(filepath.Join(k.Dir(), RouteFile), soundRoutes)
	if damaged {
		k.Loses(RouteFile)
	}
	if note != nil {
		return *note, !damaged, nil
	}
	last := k.Last()
	if last != nil {
		list = UnmarkedRoutes(last)
	}
	if len(list) > 0 && !damaged {
		k.Loses(RouteFile)
	}
	forgotten, err := k.HasForgotten()
	if err != nil || !forgotten && (!damaged || last != nil && !k.Begun()) {
		return list, len(list) == 0 && !damaged, err
	}
	list = append(k.unclaimedRoutes(), list...)
	spec.SortPrefixes(list)
	return slices.Compact(list), false, nil
}

// unclaimedRoutes are where routes lead that may be this cluster's and are not known to
// be another's.
func (k *Host) unclaimedRoutes() []netip.Prefix {
	others := map[netip.Prefix]bool{}
	clusters, _ := k.Paths.Clusters() // whom nobody can list claims nothing
	for _, cluster := range clusters {
		if cluster == k.Cluster {
			continue
		}
		s := FilesAt(cluster, k.Paths)
		note, _ := Recall(filepath.Join(s.Dir(), RouteFile), soundRoutes)
		if note == nil {
			note = &[]netip.Prefix{}
		}
		if last := s.Last(); last != nil {
			*note = append(*note, UnmarkedRoutes(last)...)
		}
		for _, p := range *note {
			others[p] = true
		}
	}
	var out []netip.Prefix
	for _, r := range k.Routes {
		if p := ToPrefix(r.Dst); k.maybeNoted(r) && !others[p] {
			out = append(out, p)
		}
	}
	spec.SortPrefixes(out)
	return slices.Compact(out)
}

// NoteRoutes remembers the routes of want before they are made, beside those that
// are remembered already: what is left of them is found whatever happens.
func (k *Host) NoteRoutes(want *spec.Host) error {
	plain := UnmarkedRoutes(want)
	if len(plain) == 0 {
		return nil
	}
	noted, sound, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	all := slices.Concat(noted, plain)
	spec.SortPrefixes(all)
	all = slices.Compact(all)
	if sound && slices.Equal(noted, all) {
		return nil
	}
	return k.writeRouteNotes(all)
}

// FinishRoutes brings what is remembered in line with want when nothing is left to
// do.
func (k *Host) FinishRoutes(want *spec.Host) error {
	noted, sound, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	list := UnmarkedRoutes(want)
	if sound && slices.Equal(noted, list) {
		return nil
	}
	return k.writeRouteNotes(list)
}

// writeRouteNotes remembers list in the place of what was remembered.
func (k *Host) writeRouteNotes(list []netip.Prefix) error {
	path := filepath.Join(k.Dir(), RouteFile)
	if len(list) == 0 {
		return RemoveNote(path)
	}
	data, err := wire.Marshal(list)
	if err == nil {
		err = sysfile.MakeDir(k.Dir())
	}
	if err == nil {
		err = WriteNote(path, string(data)+"\n")
	}
	if err != nil {
		return fmt.Errorf("remember routes: %w", err)
	}
	delete(k.Lost, RouteFile)
	return nil
}

// Unreachable says whether a route is one of flock's that answers for what is not
// there.
func Unreachable(r netlink.Route) bool {
	return r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && r.Type == unix.RTN_UNREACHABLE && r.Priority == spec.UnreachableMetric
}

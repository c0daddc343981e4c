//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

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
func (k *Kernel) readNoted() error {
	k.noted = nil
	for _, r := range k.routes {
		if r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && !flocks(k.devices.byIndex[r.LinkIndex]) {
			list, err := k.readRouteNotes()
			if err != nil {
				return err
			}
			k.noted = make(map[netip.Prefix]bool, len(list))
			for _, p := range list {
				k.noted[p] = true
			}
			return nil
		}
	}
	return nil
}

func (k *Kernel) readRouteNotes() ([]netip.Prefix, error) {
	data, err := slurp(filepath.Join(k.dir, routeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []netip.Prefix
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read remembered routes: %w", err)
	}
	return list, nil
}

// noteRoutes remembers the routes of want before they are made, beside those that
// are remembered already: what is left of them is found whatever happens.
func (k *Kernel) noteRoutes(want *spec.Host) error {
	plain := plainRoutes(want)
	if len(plain) == 0 {
		return nil
	}
	noted, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	all := slices.Concat(noted, plain)
	slices.SortFunc(all, netip.Prefix.Compare)
	return k.writeRouteNotes(noted, slices.Compact(all))
}

// settleRoutes brings what is remembered in line with want when nothing is left to
// do.
func (k *Kernel) settleRoutes(want *spec.Host) error {
	noted, err := k.readRouteNotes()
	if err != nil {
		return err
	}
	return k.writeRouteNotes(noted, plainRoutes(want))
}

func (k *Kernel) writeRouteNotes(have, list []netip.Prefix) error {
	if slices.Equal(have, list) {
		return nil
	}
	path := filepath.Join(k.dir, routeFile)
	if len(list) == 0 {
		return removeAll(path)
	}
	data, err := json.Marshal(list)
	if err == nil {
		err = makeDir(k.dir)
	}
	if err == nil {
		err = writeFile(path, string(data)+"\n", 0o600, true)
	}
	if err != nil {
		return fmt.Errorf("remember routes: %w", err)
	}
	return nil
}

//go:build linux

package bgp

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// protectedAddrs are the addresses whose traffic no learned route may take over, except
// for the default gateway.
type protectedAddrs struct {
	workstation netip.Addr   // invalid: not known
	underlay    []netip.Addr // of other servers
}

// protected reads them from the agent's notes in dir, again whenever those changed. A
// note that is missing or damaged protects nothing.
type protected struct {
	dir   string
	addrs protectedAddrs
	seen  [len(protectedFiles)]stamp
}

// protectedFiles are the address of the last session and the confirmed spec, with its
// copy.
var protectedFiles = [...]string{spec.WorkstationFile, spec.SpecFile, spec.SpecFile + spec.CopySuffix}

// stamp tells versions of a file apart: the agent writes each as a new file.
type stamp struct {
	size int64
	at   time.Time
}

func (p *protected) stamps() (out [len(protectedFiles)]stamp) {
	for i, name := range protectedFiles {
		if info, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			out[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return out
}

// moved says whether a note changed since it was read.
func (p *protected) moved() bool { return p.stamps() != p.seen }

// read returns the protected addresses.
func (p *protected) read() protectedAddrs {
	now := p.stamps()
	if now == p.seen {
		return p.addrs
	}
	p.seen, p.addrs = now, protectedAddrs{}
	if text, err := os.ReadFile(filepath.Join(p.dir, protectedFiles[0])); err == nil {
		p.addrs.workstation, _ = netip.ParseAddr(strings.TrimSpace(string(text)))
	}
	for _, name := range protectedFiles[1:] {
		var h spec.Host
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if err == nil && json.Unmarshal(data, &h) == nil {
			p.addrs.underlay = underlay(&h)
			break
		}
	}
	return p.addrs
}

// underlay are the addresses of other servers that h's objects send packets to: the
// other ends of tunnels, gateways of routes, neighbours. Endpoints with a DNS name are
// not among them.
func underlay(h *spec.Host) []netip.Addr {
	var out []netip.Addr
	for _, l := range h.Links {
		if l.Tunnel != nil {
			out = append(out, l.Tunnel.Remote)
		}
	}
	for _, f := range h.Floods {
		out = append(out, f.To.Addrs()...)
	}
	for _, f := range h.FDB {
		out = append(out, f.Dst)
	}
	for _, m := range h.Members {
		out = append(out, m.Addr)
	}
	for _, r := range h.Routes {
		out = append(out, r.Via)
	}
	for _, p := range h.Peers {
		if end, err := netip.ParseAddrPort(p.Endpoint); err == nil {
			out = append(out, end.Addr())
		}
	}
	if h.BGP != nil {
		for _, n := range h.BGP.Neighbors {
			out = append(out, n.Addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsValid() || a.IsMulticast() })
}

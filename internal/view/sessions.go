package view

import (
	"fmt"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// peerDoc is a WireGuard peer of a server, in the JSON of status.
type peerDoc struct {
	Device    string `json:"device"`
	Peer      string `json:"peer,omitempty"` // the server; absent if no network of the cluster has such a peer
	Key       string `json:"key"`
	Endpoint  string `json:"endpoint,omitempty"`  // in use: where the last packet came from
	Handshake string `json:"handshake,omitempty"` // RFC 3339; absent: there was no handshake yet
	Received  int64  `json:"received"`            // bytes
	Sent      int64  `json:"sent"`
}

func peersOf(c *state.Cluster, s change.Server) []peerDoc {
	if s.Plan == nil {
		return nil
	}
	var out []peerDoc
	for _, p := range s.Plan.Sessions {
		d := peerDoc{Device: p.Link, Peer: keyOwner(c, p.Key), Key: p.Key, Endpoint: p.Endpoint, Received: p.Received, Sent: p.Sent}
		if !p.Handshake.IsZero() {
			d.Handshake = p.Handshake.UTC().Format(time.RFC3339)
		}
		out = append(out, d)
	}
	return out
}

// keyOwner is the server whose public key key is.
func keyOwner(c *state.Cluster, key string) string {
	if c == nil {
		return ""
	}
	for _, n := range c.Networks {
		for server, a := range n.Allocated {
			if a.Key == key {
				return server
			}
		}
	}
	return ""
}

// PrintSessions lists the WireGuard peers of all servers, for status -o wide.
func (a *Page) PrintSessions(out *change.Outcome) error {
	t := &screen.Table{Head: []string{"SERVER", "DEVICE", "PEER", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT"}}
	for _, s := range out.Servers {
		if s.Plan == nil {
			continue
		}
		for _, p := range s.Plan.Sessions {
			peer := keyOwner(out.Cluster, p.Key)
			if peer == "" {
				peer = spec.ShortKey(p.Key)
			}
			t.Add(s.Name, p.Link, peer, p.Endpoint, ago(p.Handshake, s.Plan.Clock), bytesOf(p.Received), bytesOf(p.Sent))
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	_ = a.Print(a.Out, "\n")
	return t.Write(a.Out, 0)
}

// ago is how long ago t was, by the clock that told t. One that was set back since, or has
// a time in the future, counts as now.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return max(now.Sub(t), 0).Truncate(time.Second).String() + screen.NoBreak + "ago"
}

// bytesOf formats a number of bytes, in units of 1024.
func bytesOf(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d%sB", n, screen.NoBreak)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f%s%ciB", v, screen.NoBreak, units[unit])
}

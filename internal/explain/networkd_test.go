package explain

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestNetworkd: the files of systemd-networkd have every device, address, neighbour, forwarding entry,
// peer and route, or it is said that networkd does not make them; the script is one to a shell, and
// what undoes it removes every file.
func TestNetworkd(t *testing.T) {
	made := 0
	for _, p := range parts(t) {
		s := Networkd(p.full, p.asked, p.network)
		own := belonging(p.full, p.asked, p.network)
		if s.Empty() {
			for _, l := range own.Links {
				if name, _ := netdevOf(l); name != "" {
					t.Errorf("%s: %s on %s lacks %s", p.golden, p.network, p.server, l)
				}
			}
			continue
		}
		made++
		build, undo, want := p.texts(t, s)
		by := map[string]bool{} // devices that networkd makes
		for _, l := range own.Links {
			if netdev, _ := netdevOf(l); netdev == "" {
				want(build, "# Not by networkd: "+l.Name+": ")
				continue
			}
			by[l.Name] = true
			at := "/etc/systemd/network/50-flock-" + p.full.Cluster + "-" + l.Name
			want(build, "cat >"+at+".netdev ")
			want(build, "cat >"+at+".network ")
			want(build, "\nName="+l.Name+"\nKind="+l.Kind+"\n")
			want(undo, " "+at+".network")
			want(undo, "ip link del dev "+l.Name+"\n")
		}
		for _, a := range own.Addrs {
			if by[a.Link] {
				want(build, "\nAddress="+a.Prefix.String()+"\n")
			}
		}
		for _, n := range own.Neighs {
			if by[n.Link] {
				want(build, "[Neighbor]\nAddress="+n.IP.String()+"\nLinkLayerAddress="+n.MAC+"\n")
			}
		}
		for _, f := range own.AllFDB() {
			if by[f.Link] {
				want(build, "[BridgeFDB]\nMACAddress="+f.MAC+"\nDestination="+f.Dst.String()+"\n")
			}
		}
		for _, q := range own.Peers {
			if by[q.Link] && !strings.HasPrefix(q.Key, "(") {
				want(build, "[WireGuardPeer]\nPublicKey="+q.Key+"\n")
			}
		}
		for _, r := range own.Routes {
			if r.Unreachable || by[r.Dev] {
				want(build, "[Route]\nDestination="+r.Dst.String()+"\n")
			} else if (&writer{own: own}).kindOf(r.Dev) == "" {
				want(build, "# Not by networkd: routes by "+r.Dev)
			}
		}
	}
	if made < 50 {
		t.Errorf("of %d networks on servers alone there are files", made)
	}
}

// TestNetworkdOfWireGuard: the private key is in a file of its own, and in no text.
func TestNetworkdOfWireGuard(t *testing.T) {
	key := 0
	for _, p := range parts(t) {
		for _, l := range belonging(p.full, p.asked, p.network).Links {
			if l.Kind != spec.WireGuard {
				continue
			}
			key++
			text := Networkd(p.full, p.asked, p.network).Text("default", false)
			if !strings.Contains(text, "PrivateKeyFile=/etc/systemd/network/50-flock-"+p.full.Cluster+"-"+l.Name+".key\n") || strings.Contains(text, "PrivateKey=") {
				t.Errorf("%s: %s", p.golden, text)
			}
		}
	}
	if key == 0 {
		t.Error("no golden has WireGuard")
	}
}

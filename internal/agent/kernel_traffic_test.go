//go:build linux

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// fleet is three servers on one underlay; the first two have a container each.
type fleet struct {
	t          *testing.T
	servers    []*nftHost
	kernels    []*Kernel
	containers []*nftHost
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	fabric := newNFTHost(t)
	fabric.sh("ip link add wire type bridge; ip link set wire up")
	f := &fleet{t: t}
	for i := range 3 {
		s := newNFTHost(t)
		s.join("eth0", fabric, fmt.Sprint("p", i), "wire")
		s.sh(fmt.Sprintf("ip addr add 10.99.0.%d/24 dev eth0", i+1))
		var k *Kernel
		s.do(func() { k = open(t, "t", t.TempDir()) })
		f.servers, f.kernels = append(f.servers, s), append(f.kernels, k)
	}
	return f
}

func underlayAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, byte(i + 1)}) }

// member is server i's part in a network of the first n servers.
func member(i, n int) *spec.Host {
	h := segment()
	var all []netip.Addr
	for j := range n {
		all = append(all, underlayAddr(j))
	}
	h.Server = fmt.Sprint("s", i+1)
	h.Links[0].MAC, h.Links[1].MAC = fmt.Sprintf("6a:0a:00:00:00:%02x", i+1), fmt.Sprintf("6a:0b:00:00:00:%02x", i+1)
	h.Links[0].Tunnel.Local = underlayAddr(i)
	h.Addrs = []spec.Addr{{Link: "vxl0", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 4, byte(254 - i)}), 24)}, {Link: "vxl0", Prefix: prefix("10.0.4.1/32")}}
	h.Routes, h.Neighs, h.FDB = nil, nil, nil
	h.Floods[0].To = spec.NewAddrSet(all...)
	return h
}

// bring makes servers up to n members, and the others nothing.
func (f *fleet) bring(n int) {
	f.t.Helper()
	for i := range f.servers {
		want := &spec.Host{Cluster: "t"}
		if i < n {
			want = member(i, n)
		}
		f.reconcile(i, want)
	}
}

func (f *fleet) reconcile(i int, want *spec.Host) {
	f.t.Helper()
	f.servers[i].do(func() {
		report, err := Reconcile(context.Background(), f.kernels[i], want, nil)
		if err != nil || len(report.Pending) > 0 {
			f.t.Errorf("s%d: %v, pending %v", i+1, err, report.Pending)
		}
	})
}

func (f *fleet) container(i int) *nftHost {
	f.t.Helper()
	c := newNFTHost(f.t)
	c.join("eth0", f.servers[i], fmt.Sprint("c", i), "vxl0")
	c.sh(fmt.Sprintf("ip addr add 10.0.4.%d/24 dev eth0; ip route add default via 10.0.4.1", i+11))
	f.containers = append(f.containers, c)
	return c
}

// A ping every 10 ms between two containers loses nothing while a third server
// comes and goes, nothing is changed, and drift beside the path is repaired.
func TestTrafficGoesOnDuringChanges(t *testing.T) {
	f := newFleet(t)
	f.bring(2)
	c1, c2 := f.container(0), f.container(1)
	c1.reaches("10.0.4.12")
	c2.reaches("10.0.4.1")
	// Not through c1's own thread: that is busy with the ping.
	ping := make(chan string)
	go func() { ping <- c1.sh("ping -n -q -i 0.01 -c 250 -W 1 10.0.4.12") }()
	for range 3 {
		f.bring(3)
		f.bring(3)
		f.servers[0].sh("ip addr add 10.0.4.77/24 dev vxl0; bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.9; nft delete table inet flock-t")
		f.bring(2)
	}
	if out := <-ping; !strings.Contains(out, " 0% packet loss") {
		t.Fatal(out)
	}
}

// What the segment is for: containers reach each other, their server and each
// other's; a member that leaves is cut off.
func TestSegmentCarriesTraffic(t *testing.T) {
	f := newFleet(t)
	f.bring(3)
	c1, c2, c3 := f.container(0), f.container(1), f.container(2)
	for _, ip := range []string{"10.0.4.12", "10.0.4.13", "10.0.4.1", "10.0.4.254", "10.0.4.253", "10.99.0.3"} {
		c1.reaches(ip)
	}
	seen := f.servers[0].Watch("eth0", "udp port 4789", func() { c1.reaches("10.0.4.12") })
	if !strings.Contains(seen, "10.99.0.1.") || !strings.Contains(seen, "> 10.99.0.2.4789: VXLAN") || !strings.Contains(seen, "vni 42") {
		t.Fatalf("on the underlay:\n%s", seen)
	}
	f.reconcile(2, &spec.Host{Cluster: "t"})
	f.reconcile(0, member(0, 2))
	f.reconcile(1, member(1, 2))
	c2.reaches("10.0.4.11")
	c3.ReachesNot("10.0.4.11", "10.0.4.12")
}

package state

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bigCluster is n servers in one network, all contacted and confirmed.
func bigCluster(n int) *Cluster {
	subnet := netip.MustParsePrefix("10.64.0.0/12")
	vx := &Network{
		Type: "vxlan", Subnets: []netip.Prefix{subnet}, Bridge: "vxl0", VNI: 42, Port: 4789, Domain: "vxapp",
		DHCP: DHCPSingle, Allocated: map[string]*Allocation{},
	}
	c := &Cluster{Schema: Schema, Name: "default", ID: "X", Servers: map[string]*Server{}, Networks: map[string]*Network{"vx1": vx}}
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range n {
		name := fmt.Sprintf("s%05d", i)
		under := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		c.Servers[name] = &Server{
			Address: under.String(), User: "root",
			Facts: &Facts{
				Machine: strings.Repeat("ab", 16), Init: "systemd", Default4: "eth0",
				Interfaces: []Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(under, 16)}}},
			},
			Confirmed: &Confirmed{Generation: 7, Sum: strings.Repeat("cd", 16), Time: when},
		}
		vx.Members = append(vx.Members, name)
		vx.Allocated[name] = &Allocation{ID: uint16(i + 1), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 79, byte(i >> 8), byte(i)})}}
	}
	return c
}

func benchmarkLoad(b *testing.B, n int) {
	s := Open(filepath.Join(b.TempDir(), "default.toml"), "default")
	if _, err := s.Update(b.Context(), func(c *Cluster) error { *c = *bigCluster(n); return nil }); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := s.Load(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if len(c.Servers) != n {
			b.Fatalf("loaded %d servers, want %d", len(c.Servers), n)
		}
	}
}

func BenchmarkLoad1k(b *testing.B)  { benchmarkLoad(b, 1_000) }
func BenchmarkLoad10k(b *testing.B) { benchmarkLoad(b, 10_000) }

// benchmarkSave saves a changed desired state: lock, load, edit, history and file on disk.
func benchmarkSave(b *testing.B, n int) {
	s := Open(filepath.Join(b.TempDir(), "default.toml"), "default")
	if _, err := s.Update(b.Context(), func(c *Cluster) error { *c = *bigCluster(n); return nil }); err != nil {
		b.Fatal(err)
	}
	mtu := 1000
	for b.Loop() {
		mtu++
		c, err := s.Update(b.Context(), func(c *Cluster) error { c.Networks["vx1"].MTU = mtu; return nil })
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(c.Generation), "generation")
	}
}

func BenchmarkSave1k(b *testing.B)  { benchmarkSave(b, 1_000) }
func BenchmarkSave10k(b *testing.B) { benchmarkSave(b, 10_000) }

func BenchmarkMarshal10k(b *testing.B) {
	c := bigCluster(10_000)
	for b.Loop() {
		data, err := c.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}

func BenchmarkClone10k(b *testing.B) {
	c := bigCluster(10_000)
	for b.Loop() {
		c.Clone()
	}
}

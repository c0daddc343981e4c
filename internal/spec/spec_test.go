package spec

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestIfNameFitsAndStaysApart(t *testing.T) {
	if got := IfName("vxl0", "vx"); got != "vxl0-vx" {
		t.Fatalf("IfName = %q", got)
	}
	a, b := IfName("longbridgename1", "vx"), IfName("longbridgename2", "vx")
	if len(a) != IfNameMax || a == b {
		t.Fatalf("IfName: %q (%d bytes), %q", a, len(a), b)
	}
}

func TestSumIgnoresOrderAndGeneration(t *testing.T) {
	set := NewAddrSet(netip.MustParseAddr("10.99.0.2"), netip.MustParseAddr("10.99.0.1"))
	h := &Host{
		Cluster: "c", Generation: 1,
		Links:  []Link{{Name: "a", Kind: Bridge}, {Name: "b", Kind: VXLAN, Tunnel: &Tunnel{VNI: 1, Local: netip.MustParseAddr("10.99.0.1")}}},
		Floods: []Flood{{Link: "b", To: set}},
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Host
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	back.Generation = 2
	back.Links[0], back.Links[1] = back.Links[1], back.Links[0]
	if h.Sum() != back.Sum() || h.Text() != back.Text() {
		t.Fatalf("sum or text changed:\n%s\n%s", h.Text(), back.Text())
	}
	back.Links[0].MTU = 1
	if h.Sum() == back.Sum() {
		t.Fatal("a changed MTU left the sum alone")
	}
	want := FDB{Link: "b", MAC: ZeroMAC, Dst: netip.MustParseAddr("10.99.0.2")}
	if fdb := h.AllFDB(); len(fdb) != 1 || fdb[0] != want {
		t.Fatalf("AllFDB = %v", fdb)
	}
}

func TestEmptyHostHasNoSum(t *testing.T) {
	h := &Host{Cluster: "c", Store: "x", Server: "s1", Claims: []Claim{{UDPPort: 1}}}
	if !h.Empty() || h.Sum() != "" {
		t.Fatalf("empty host: Empty %v, Sum %q", h.Empty(), h.Sum())
	}
}

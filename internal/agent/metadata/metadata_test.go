package metadata

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/spec"
)

// What the service says of all interfaces of the instance that asks, and of no other.
func TestAskAWS(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	a := &cloudfake.AWS{Region: "eu-central-1", NICs: []*cloudfake.NIC{
		{ID: "eni-1", Instance: "i-1", MAC: "02:00:00:00:00:01", VPC: "vpc-1", Subnet: "subnet-a", Addr: own},
		{ID: "eni-2", Instance: "i-1", MAC: "02:00:00:00:00:02", VPC: "vpc-2", Subnet: "subnet-b", Addr: netip.MustParseAddr("10.1.0.1")},
		{ID: "eni-3", Instance: "i-2", MAC: "02:00:00:00:00:03", VPC: "vpc-1", Subnet: "subnet-a", Addr: netip.MustParseAddr("10.1.0.2")},
	}}
	server := httptest.NewServer(a.Metadata())
	defer server.Close()
	want := []spec.CloudNIC{{Cloud: "aws", Addr: own, Region: "eu-central-1", VPC: "vpc-1", ID: "eni-1"}, {Cloud: "aws", Addr: netip.MustParseAddr("10.1.0.1"), Region: "eu-central-1", VPC: "vpc-2", ID: "eni-2"}}
	if have := askAWS(t.Context(), strings.TrimPrefix(server.URL, "http://")); !reflect.DeepEqual(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}

// The same of Compute Engine's.
func TestAskGCE(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	g := &cloudfake.GCE{Project: "proj-1", Instances: []*cloudfake.Instance{
		{Zone: "europe-west1-b", Name: "vm-2", Network: "other", Addr: netip.MustParseAddr("10.1.0.2")}, {Zone: "europe-west1-c", Name: "vm-1", Network: "default", Addr: own},
	}}
	server := httptest.NewServer(g.Metadata())
	defer server.Close()
	want := []spec.CloudNIC{{Cloud: "gce", Addr: own, Region: "proj-1", VPC: "default", ID: "zones/europe-west1-c/instances/vm-1"}}
	if have := askGCE(t.Context(), strings.TrimPrefix(server.URL, "http://")); !reflect.DeepEqual(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}

// The same of Alibaba Cloud's.
func TestAskAli(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	a := &cloudfake.Ali{Region: "cn-hangzhou", Instances: []*cloudfake.AliInstance{{ID: "i-2", VPC: "vpc-2", Addr: netip.MustParseAddr("10.1.0.2")}, {ID: "i-1", VPC: "vpc-1", Addr: own}}}
	server := httptest.NewServer(a.Metadata())
	defer server.Close()
	want := []spec.CloudNIC{{Cloud: "ali", Addr: own, Region: "cn-hangzhou", VPC: "vpc-1", ID: "i-1"}}
	if have := askAli(t.Context(), strings.TrimPrefix(server.URL, "http://")); !reflect.DeepEqual(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}

// The same of Azure's.
func TestAskAzure(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	a := &cloudfake.Azure{Subscription: "sub-1", NICs: []*cloudfake.AzureNIC{{Name: "nic-1", Addr: own}}}
	server := httptest.NewServer(a.Metadata())
	defer server.Close()
	want := []spec.CloudNIC{{Cloud: "azure", Addr: own, Region: "sub-1"}}
	if have := askAzure(t.Context(), strings.TrimPrefix(server.URL, "http://")); !reflect.DeepEqual(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}

// Another service at that address, none, and one that says nonsense are no cloud.
func TestNoService(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"anything":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\r\nX: y")) },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				_, _ = w.Write([]byte("token"))
			}
			_, _ = w.Write([]byte(strings.Repeat("../x ", mostAnswer)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			if have := append(askAWS(t.Context(), strings.TrimPrefix(server.URL, "http://")), askGCE(t.Context(), strings.TrimPrefix(server.URL, "http://"))...); len(have) > 0 {
				t.Errorf("have %v", have)
			}
		})
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	if have := append(append(askAWS(t.Context(), at), askGCE(t.Context(), at)...), Ask(t.Context(), "nowhere")...); len(have) > 0 {
		t.Errorf("have %v", have)
	}
}

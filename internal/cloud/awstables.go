package cloud

import (
	"cmp"
	"crypto/sha256"
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
)

type memberOf = ground.CloudMember

// awsTables is the answer to DescribeRouteTables.
type awsTables struct {
	Items []struct {
		ID     string `xml:"routeTableId"`
		VPC    string `xml:"vpcId"`
		Routes []struct {
			V4     string `xml:"destinationCidrBlock"`
			V6     string `xml:"destinationIpv6CidrBlock"`
			NIC    string `xml:"networkInterfaceId"`
			Way    string `xml:"gatewayId"`
			NAT    string `xml:"natGatewayId"`
			Peer   string `xml:"vpcPeeringConnectionId"`
			Hub    string `xml:"transitGatewayId"`
			Inst   string `xml:"instanceId"`
			State  string `xml:"state"`
			Origin string `xml:"origin"`
		} `xml:"routeSet>item"`
		Bound []struct {
			Subnet string `xml:"subnetId"`
			Main   bool   `xml:"main"`
		} `xml:"associationSet>item"`
	} `xml:"routeTableSet>item"`
	Next string `xml:"nextToken"`
}

// tables are those of the answer. Rows to prefix lists are of no concern.
func (doc awsTables) tables() []Table {
	var out []Table
	for _, item := range doc.Items {
		t := Table{ID: item.ID, VPC: item.VPC}
		for _, b := range item.Bound {
			t.Main = t.Main || b.Main
			if b.Subnet != "" {
				t.Subnets = append(t.Subnets, b.Subnet)
			}
		}
		for _, r := range item.Routes {
			to, err := netip.ParsePrefix(cmp.Or(r.V4, r.V6))
			if err != nil {
				continue
			}
			t.Rows = append(t.Rows, SeenRow{
				To: to.Masked(), By: cmp.Or(r.NIC, r.Way, r.NAT, r.Peer, r.Hub, r.Inst),
				Dead: r.State == "blackhole", Local: r.Way == "local", Made: r.Way != "local" && r.Origin != "EnableVgwRoutePropagation",
			})
		}
		out = append(out, t)
	}
	return out
}

func hashOf(body string) []byte {
	sum := sha256.Sum256([]byte(body))
	return sum[:]
}

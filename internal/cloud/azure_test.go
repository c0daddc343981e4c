package cloud

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/hint"
)

// newAzure is a virtual network with two subnets of a table each, and a network of machines in it.
// Servers of odd numbers are in a.
func newAzure(t *testing.T, servers int) (*world, *cloudfake.Azure) {
	t.Helper()
	w := newWorld(t, servers)
	a := &cloudfake.Azure{Subscription: "sub-1", Busy: 1, Denied: map[string]bool{}, Tables: []*cloudfake.AzureTable{
		{Group: "Lab", Name: "RT-a", VNet: "Net", Subnets: []string{"a"}, Routes: []cloudfake.AzureRoute{{Name: "out", To: "0.0.0.0/0", By: "Internet"}}}, {Group: "Lab", Name: "RT-b", VNet: "Net", Subnets: []string{"b"}},
	}}
	for i, m := range w.want[0].Networks[0].Members {
		a.NICs = append(a.NICs, &cloudfake.AzureNIC{Name: fmt.Sprint("nic-", i+1), VNet: "Net", Subnet: string("ab"[i%2]), Addr: m.Addr})
	}
	w.want[0].Kind, w.want[0].Region = "azure", "sub-1"
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	for key, value := range map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "me", "AZURE_CLIENT_SECRET": cloudfake.Secret, "AZURE_AUTHORITY_HOST": server.URL, "ARM_ENDPOINT": server.URL} {
		w.env[key] = value
	}
	return w, a
}

// A network comes, is put right, and leaves nothing; a table that is busy is asked again.
func TestWholeLifeAzure(t *testing.T) {
	w, a := newAzure(t, 3)
	a.Page = 1
	a.NICs[1].Forward = true // for a reason of its own
	before := a.Text()
	has := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if bare, not := strings.CutPrefix(line, "!"); strings.Contains(a.Text(), bare) == not {
				t.Fatalf("want %q, have\n%s", line, a.Text())
			}
		}
	}
	if did := w.done(); len(did) != 2 || strings.Count(did["azure lab/rt-a"], "+ route") != 3 || strings.Count(did["azure lab/rt-b"], "+ route") != 3 || !strings.Contains(did["azure lab/rt-a"], "check of 172.31.0.1: on -> off (s1)") {
		t.Fatalf("%v", did)
	}
	has("Lab/RT-a 10.244.2.0/24 172.31.0.2", "nic-1 172.31.0.1 forwards true")
	w.nothing()
	table := a.Tables[0]
	table.Routes = table.Routes[:3]
	table.Routes[1].By = "172.31.0.3"
	table.Routes = append(table.Routes, cloudfake.AzureRoute{Name: "x", To: "10.244.9.0/24", By: "VirtualNetworkGateway"})
	w.done()
	has("Lab/RT-a 10.244.1.0/24 172.31.0.1", "Lab/RT-a 10.244.3.0/24 172.31.0.3", "10.244.9.0/24 VirtualNetworkGateway")
	w.nothing()
	table.Routes = append(table.Routes[:3], table.Routes[4:]...)
	w.want = nil
	w.done()
	if after := a.Text(); after != before || len(w.note) > 0 {
		t.Errorf("left over: %v\n%s\nbefore\n%s", w.note, after, before)
	}
}

// Fifty members and nothing to do: three calls at most.
func TestFewCallsAzure(t *testing.T) {
	w, a := newAzure(t, 50)
	w.done()
	a.Calls()
	w.nothing()
	if n := a.Calls(); n > 3 {
		t.Errorf("%d calls", n)
	}
}

// What lacks is named.
func TestRefusedCallsAzure(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(*world, *cloudfake.Azure)
		err, next string
	}{
		"no right":     {func(_ *world, a *cloudfake.Azure) { a.Denied["Microsoft.Network/routeTables/routes/write"] = true }, "no right to Microsoft.Network/routeTables/routes/write", "allow it"},
		"not to look":  {func(_ *world, a *cloudfake.Azure) { a.Denied["Microsoft.Network/networkInterfaces/read"] = true }, "no right to Microsoft.Network/networkInterfaces/read", "allow it"},
		"not to check": {func(_ *world, a *cloudfake.Azure) { a.Denied["Microsoft.Network/networkInterfaces/write"] = true }, "no right to Microsoft.Network/networkInterfaces/write", "allow it"},
		"expired":      {func(_ *world, a *cloudfake.Azure) { a.Expired = true }, "have expired", "az login"},
		"wrong secret": {func(w *world, _ *cloudfake.Azure) { w.env["AZURE_CLIENT_SECRET"] = "other" }, "Invalid client secret", "az login"},
		"no login":     {func(w *world, _ *cloudfake.Azure) { delete(w.env, "AZURE_CLIENT_ID") }, "no credentials for Azure", "az login"},
		"down":         {func(_ *world, a *cloudfake.Azure) { a.Down = true }, "EOF", ""},
		"busy":         {func(_ *world, a *cloudfake.Azure) { a.Busy = 100 }, "AnotherOperationInProgress", "flock apply"},
		"two networks": {func(_ *world, a *cloudfake.Azure) { a.NICs[1].VNet = "Other" }, "s1 in net, s2 in other", "a network of its own"},
		"no table":     {func(_ *world, a *cloudfake.Azure) { a.Tables[1].Subnets = nil }, "no route table of net is that of", "--route-table"},
		"another's": {func(_ *world, a *cloudfake.Azure) {
			a.Tables[0].Routes = []cloudfake.AzureRoute{{Name: "x", To: "10.244.1.0/24", By: "Internet"}}
		}, "lab/rt-a has a route to 10.244.1.0/24 by Internet, which is not flock's", "take it out"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := newAzure(t, 2)
			t.Setenv("PATH", t.TempDir()) // no az
			c.spoil(w, a)
			s, results := w.change()
			err := results[0].Err
			if refused := s.Refused(); len(refused) > 0 {
				err = refused[0]
			}
			if _, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(next, c.next) {
				t.Errorf("%v, next %q", err, next)
			}
			if len(Pending(w.want, w.note)) == 0 || strings.Contains(fmt.Sprint(err), cloudfake.Secret) {
				t.Error("nothing is pending, or the secret is shown")
			}
		})
	}
}

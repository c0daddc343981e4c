//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/lab"
)

// A walk's clouds, AWS, Google's, Alibaba's and Azure: the lab's servers are instances of all, and the router between
// them does what their routes say, and nothing else.
//
//	cloud up                 from now on; the environment leads to them
//	cloud has PATTERN        a line of what it holds is so
//	cloud write FILE         what it holds
//	cloud set TABLE TO BY    somebody makes a route, or changes one
//	cloud unset TABLE TO     somebody takes one out
//	cloud replaced SERVER    the instance is another one, with the same address
//	cloud is STATE           up, down, expired
//	cloud deny|allow ACTION  the login has no right to it, or has
//	cloud calls MOST         there were at most so many calls since this was last asked

// labCloud is a walk's cloud.
type labCloud struct {
	*cloudfake.AWS
	gce    *cloudfake.GCE
	ali    *cloudfake.Ali
	azure  *cloudfake.Azure
	routed map[string]string // what the router has, by destination
}

const (
	metadataAt = "169.254.169.254"
	aliAt      = "100.100.100.200"
	cloudTable = "rtb-0a1b2c3d"
)

func verbCloud(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	what := strings.Join(args, " ")
	if what == "up" && w.cloud == nil {
		return w.cloudUp(ctx, ts)
	}
	c := w.cloud
	if c == nil {
		return usage("cloud up, once and first")
	}
	switch {
	case len(args) == 2 && args[0] == "has":
		pattern, err := regexp.Compile("(?m)" + args[1])
		if err != nil {
			return usage(err.Error())
		}
		if text := c.Text() + c.gce.Text() + c.ali.Text() + c.azure.Text(); !pattern.MatchString(text) {
			return unmet(fmt.Sprintf("the cloud has\n%s", text))
		}
		return nil
	case len(args) == 2 && args[0] == "write":
		return os.WriteFile(ts.MkAbs(args[1]), []byte(c.Text()+c.gce.Text()+c.ali.Text()+c.azure.Text()), 0o600)
	case len(args) == 2 && args[0] == "calls":
		most, err := strconv.Atoi(args[1])
		if err != nil {
			return usage(err.Error())
		}
		calls, total := c.Calls(), 0
		for n := range maps.Values(calls) {
			total += n
		}
		if total > most {
			return unmet(fmt.Sprintf("%d calls: %v", total, calls))
		}
		return nil
	}
	return c.happens(ctx, w.lab, args)
}

// happens is what somebody else does in the cloud.
func (c *labCloud) happens(ctx context.Context, l *lab.Lab, args []string) error {
	var err error
	c.Do(func() {
		switch {
		case len(args) == 4 && args[0] == "set" && c.Table(args[1]) != nil:
			t := c.Table(args[1])
			t.Routes = slices.DeleteFunc(t.Routes, func(r cloudfake.Route) bool { return r.To == args[2] })
			t.Routes = append(t.Routes, cloudfake.Route{To: args[2], By: args[3]})
		case len(args) == 3 && args[0] == "unset" && c.Table(args[1]) != nil:
			t := c.Table(args[1])
			t.Routes = slices.DeleteFunc(t.Routes, func(r cloudfake.Route) bool { return r.To == args[2] })
		case len(args) == 2 && args[0] == "replaced" && c.NIC("eni-"+args[1]) != nil:
			n := c.NIC("eni-" + args[1])
			n.ID, n.Instance, n.Checked = n.ID+"-new", n.Instance+"-new", true
		case len(args) == 2 && args[0] == "is":
			c.Down, c.Expired = args[1] == "down", args[1] == "expired"
		case len(args) == 2 && (args[0] == "deny" || args[0] == "allow"):
			c.Denied[args[1]] = args[0] == "deny"
		default:
			err = usage("cloud " + strings.Join(args, " "))
		}
		if err == nil {
			err = c.program(ctx, l)
		}
	})
	return err
}

// cloudUp begins the cloud: its API where the laptop reaches it, and its metadata service where
// the servers do.
func (w *walk) cloudUp(ctx context.Context, ts *testscript.TestScript) error {
	c := &labCloud{routed: map[string]string{}, AWS: &cloudfake.AWS{Region: "eu-central-1", Denied: map[string]bool{}, Fail: map[string]string{}, Tables: []*cloudfake.Table{{
		ID: cloudTable, VPC: "vpc-1", Main: true,
		Routes: []cloudfake.Route{{To: "10.99.0.0/24", By: "local", Origin: "CreateRouteTable"}, {To: "0.0.0.0/0", By: "igw-1"}},
	}}}}
	for i, server := range w.lab.Servers() {
		c.NICs = append(c.NICs, &cloudfake.NIC{
			ID: "eni-" + server, Instance: "i-" + server, MAC: fmt.Sprintf("02:63:00:00:00:%02x", i+1),
			VPC: "vpc-1", Subnet: "subnet-a", Addr: netip.AddrFrom4([4]byte{10, 99, 0, byte(i + 1)}), Checked: true,
		})
	}
	c.ali = &cloudfake.Ali{Region: "cn-hangzhou", Busy: 1, Tables: []*cloudfake.AliTable{{ID: "vtb-1", VPC: "vpc-a", System: true}}}
	c.azure = &cloudfake.Azure{Subscription: "sub-1", Busy: 1, Tables: []*cloudfake.AzureTable{{Group: "Lab", Name: "RT", VNet: "Net", Subnets: []string{"a"}}}}
	c.gce = &cloudfake.GCE{Project: "proj-1", Polls: 1}
	for i, server := range w.lab.Servers() {
		c.gce.Instances = append(c.gce.Instances, &cloudfake.Instance{Zone: "europe-west1-b", Name: server, Network: "default", Addr: c.NICs[i].Addr, Forward: true})
	}
	for i, server := range w.lab.Servers() {
		c.ali.Instances = append(c.ali.Instances, &cloudfake.AliInstance{ID: "i-" + server, VPC: "vpc-a", VSwitch: "vsw-a", Addr: c.NICs[i].Addr})
	}
	for i, server := range w.lab.Servers() {
		c.azure.NICs = append(c.azure.NICs, &cloudfake.AzureNIC{Name: "nic-" + server, VNet: "Net", Subnet: "a", Addr: c.NICs[i].Addr})
	}
	c.azure.Changed = func(*cloudfake.Azure) {
		c.Do(func() {
			if err := c.program(ctx, w.lab); err != nil {
				ts.Logf("%v", err)
			}
		})
	}
	c.ali.Changed = func(*cloudfake.Ali) {
		c.Do(func() {
			if err := c.program(ctx, w.lab); err != nil {
				ts.Logf("%v", err)
			}
		})
	}
	c.gce.Changed = func(*cloudfake.GCE) {
		c.Do(func() {
			if err := c.program(ctx, w.lab); err != nil {
				ts.Logf("%v", err)
			}
		})
	}
	c.Changed = func(*cloudfake.AWS) {
		if err := c.program(ctx, w.lab); err != nil {
			ts.Logf("%v", err)
		}
	}
	// A VPC's router sends no redirects: to it each server is alone on its segment.
	script := "ip addr add " + metadataAt + "/32 dev br0 && ip addr add " + aliAt + "/32 dev br0 && sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0"
	if out, err := w.lab.Net(ctx, "fabric", "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("make the fabric a cloud's: %w: %s", err, out)
	}
	metadata := http.NewServeMux()
	metadata.Handle("/latest/", c.Metadata())
	metadata.Handle("/computeMetadata/", c.gce.Metadata())
	metadata.Handle("/metadata/", c.azure.Metadata())
	calls := http.NewServeMux()
	calls.Handle("/", c.AWS)
	calls.Handle("/compute/", c.gce)
	calls.Handle("/ali/", c.ali)
	calls.Handle("/subscriptions/", c.azure)
	calls.Handle("/tenant/", c.azure)
	for _, s := range []struct {
		in, at string
		of     http.Handler
	}{{lab.Laptop, "127.0.0.1:0", calls}, {"fabric", metadataAt + ":80", metadata}, {"fabric", aliAt + ":80", c.ali.Metadata()}} {
		l, err := w.lab.Listen(s.in, s.at)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: s.of} //nolint:gosec // nobody but the walk calls it
		go func() { _ = server.Serve(l) }()
		ts.Defer(func() { _ = server.Close() })
		if s.in == lab.Laptop {
			ts.Setenv("AWS_ENDPOINT_URL", "http://"+l.Addr().String())
			ts.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://"+l.Addr().String()+"/compute/v1/")
			ts.Setenv("ARM_ENDPOINT", "http://"+l.Addr().String())
			ts.Setenv("AZURE_AUTHORITY_HOST", "http://"+l.Addr().String())
			ts.Setenv("ECS_ENDPOINT", "http://"+l.Addr().String()+"/ali")
			ts.Setenv("VPC_ENDPOINT", "http://"+l.Addr().String()+"/ali")
		}
	}
	ts.Setenv("AWS_ACCESS_KEY_ID", cloudfake.Key)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", cloudfake.Secret)
	ts.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", cloudfake.Key)
	ts.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", cloudfake.Secret)
	ts.Setenv("AZURE_TENANT_ID", "tenant")
	ts.Setenv("AZURE_CLIENT_ID", "me")
	ts.Setenv("AZURE_CLIENT_SECRET", cloudfake.Secret)
	ts.Setenv("GOOGLE_OAUTH_ACCESS_TOKEN", cloudfake.Token)
	w.cloud = c
	return nil
}

// program makes the router do what the table says. An interface that checks destinations drops
// what is not for itself.
func (c *labCloud) program(ctx context.Context, l *lab.Lab) error {
	want := map[string]string{}
	for _, r := range c.Table(cloudTable).Routes {
		if n := c.NIC(r.By); n != nil && !n.Checked {
			want[r.To] = "via " + n.Addr.String() + " dev br0"
		}
	}
	for _, r := range c.gce.Routes {
		for _, i := range c.gce.Instances {
			if r.By == "zones/"+i.Zone+"/instances/"+i.Name {
				want[r.To] = "via " + i.Addr.String() + " dev br0"
			}
		}
	}
	for _, r := range c.azure.Tables[0].Routes {
		for _, n := range c.azure.NICs {
			if r.By == n.Addr.String() && n.Forward {
				want[r.To] = "via " + r.By + " dev br0"
			}
		}
	}
	for _, e := range c.ali.Tables[0].Entries {
		for _, i := range c.ali.Instances {
			if e.By == i.ID {
				want[e.To] = "via " + i.Addr.String() + " dev br0"
			}
		}
	}
	var lines strings.Builder
	for to := range c.routed {
		if want[to] == "" {
			fmt.Fprintln(&lines, "route del", to)
		}
	}
	for to, by := range want {
		if c.routed[to] != by {
			fmt.Fprintln(&lines, "route replace", to, by)
		}
	}
	c.routed = want
	cmd := l.Net(ctx, "fabric", "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("program the router: %w: %s", err, out)
	}
	return nil
}

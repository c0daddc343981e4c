package cloud

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/hint"
)

// newAli is a VPC with two vSwitches, of which b has a table of its own, and a network of
// instances in it. Servers of odd numbers are in a.
func newAli(t *testing.T, servers int) (*world, *cloudfake.Ali) {
	t.Helper()
	w := newWorld(t, servers)
	a := &cloudfake.Ali{Region: "cn-hangzhou", Busy: 1, Denied: map[string]bool{}, Tables: []*cloudfake.AliTable{
		{ID: "vtb-main", VPC: "vpc-1", System: true, VSwitches: []string{"vsw-a"}}, {ID: "vtb-b", VPC: "vpc-1", VSwitches: []string{"vsw-b"}}, {ID: "vtb-other", VPC: "vpc-2", System: true},
	}}
	for i, m := range w.want[0].Networks[0].Members {
		a.Instances = append(a.Instances, &cloudfake.AliInstance{ID: "i-" + fmt.Sprint(i+1), VPC: "vpc-1", VSwitch: "vsw-" + string("ab"[i%2]), Addr: m.Addr})
	}
	w.want[0].Kind, w.want[0].Region = "ali", "cn-hangzhou"
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	for key, value := range map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": cloudfake.Key, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloudfake.Secret, "ECS_ENDPOINT": server.URL, "VPC_ENDPOINT": server.URL} {
		w.env[key] = value
	}
	return w, a
}

// A network comes, is put right, and leaves nothing; a VPC that is busy is asked again.
func TestWholeLifeAli(t *testing.T) {
	w, a := newAli(t, 3)
	a.Page = 1
	before := a.Text()
	has := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if bare, not := strings.CutPrefix(line, "!"); strings.Contains(a.Text(), bare) == not {
				t.Fatalf("want %q, have\n%s", line, a.Text())
			}
		}
	}
	if did := w.done(); len(did) != 2 || strings.Count(did["ali vtb-main"], "+ route") != 3 || strings.Count(did["ali vtb-b"], "+ route") != 3 {
		t.Fatalf("%v", did)
	}
	has("vtb-main 10.244.2.0/24 i-2", "vtb-b 10.244.1.0/24 i-1", "!vtb-other")
	w.nothing()
	main := a.Tables[0]
	main.Entries = main.Entries[1:]
	main.Entries[0].By = "i-3"
	main.Entries = append(main.Entries, cloudfake.AliEntry{ID: "rte-x", To: "10.244.9.0/24", By: "ngw-1"})
	if did := w.done(); !strings.Contains(did["ali vtb-main"], "~ route 10.244.2.0/24: to i-3 of s3 -> i-2 of s2") {
		t.Errorf("%v", did)
	}
	has("vtb-main 10.244.1.0/24 i-1", "vtb-main 10.244.2.0/24 i-2", "vtb-main 10.244.9.0/24 ngw-1")
	w.nothing()
	a.Instances[2].ID = "i-33" // another instance, with the same address
	w.done()
	has("vtb-main 10.244.3.0/24 i-33", "!i-3\n")
	w.nothing()
	main.Entries = main.Entries[:len(main.Entries)-1]
	for i, e := range main.Entries {
		if e.To == "10.244.9.0/24" {
			main.Entries = append(main.Entries[:i], main.Entries[i+1:]...)
			break
		}
	}
	w.want = nil
	w.done()
	if after := a.Text(); after != before || len(w.note) > 0 {
		t.Errorf("left over: %v\n%s", w.note, after)
	}
}

// Fifty members with one table, and nothing to do: three calls at most.
func TestFewCallsAli(t *testing.T) {
	w, a := newAli(t, 50)
	for _, i := range a.Instances {
		i.VSwitch = "vsw-a"
	}
	w.done()
	a.Calls()
	w.nothing()
	if n := a.Calls(); n > 3 {
		t.Errorf("%d calls", n)
	}
}

// What lacks is named.
func TestRefusedCallsAli(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(*world, *cloudfake.Ali)
		err, next string
	}{
		"no right":     {func(_ *world, a *cloudfake.Ali) { a.Denied["CreateRouteEntry"] = true }, "no right to vpc:CreateRouteEntry", "allow it vpc:CreateRouteEntry"},
		"not to look":  {func(_ *world, a *cloudfake.Ali) { a.Denied["DescribeNetworkInterfaces"] = true }, "no right to ecs:DescribeNetworkInterfaces", "allow it"},
		"expired":      {func(_ *world, a *cloudfake.Ali) { a.Expired = true }, "have expired", "aliyun configure"},
		"wrong secret": {func(w *world, _ *cloudfake.Ali) { w.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "other" }, "does not accept the credentials", "aliyun configure"},
		"no login":     {func(w *world, _ *cloudfake.Ali) { delete(w.env, "ALIBABA_CLOUD_ACCESS_KEY_ID") }, "no credentials for Alibaba Cloud", "aliyun configure"},
		"quota":        {func(_ *world, a *cloudfake.Ali) { a.Quota = 1 }, "the route table is full", "raise the quota"},
		"down":         {func(_ *world, a *cloudfake.Ali) { a.Down = true }, "EOF", ""},
		"busy":         {func(_ *world, a *cloudfake.Ali) { a.Busy = 100 }, "TaskConflict", "flock apply"},
		"two VPCs":     {func(_ *world, a *cloudfake.Ali) { a.Instances[1].VPC = "vpc-2" }, "s1 in vpc-1, s2 in vpc-2", "a network of its own"},
		"another's": {func(_ *world, a *cloudfake.Ali) {
			a.Tables[0].Entries = []cloudfake.AliEntry{{ID: "rte-x", To: "10.244.1.0/24", By: "ngw-1"}}
		}, "vtb-main has a route to 10.244.1.0/24 by ngw-1, which is not flock's", "take it out"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := newAli(t, 2)
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

// A profile of the aliyun program's is a login, and says the region.
func TestProfileAli(t *testing.T) {
	w, _ := newAli(t, 2)
	dir := filepath.Join(w.env["HOME"], ".aliyun")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"current": "default", "profiles": [{"name": "default", "mode": "AK"}, {"name": "ops", "mode": "AK", "access_key_id": %q, "access_key_secret": %q, "region_id": "cn-hangzhou"}]}`, cloudfake.Key, cloudfake.Secret)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.want[0].Profile, w.want[0].Region = "ops", ""
	w.env["ALIBABA_CLOUD_ACCESS_KEY_ID"] = "of somebody else"
	w.done()
	w.want[0].Profile = "nobody"
	if _, results := w.change(); results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "no profile nobody") {
		t.Errorf("%v", results[0].Err)
	}
}

// What is signed is escaped as the page about signatures says; the fake computes the rest anew.
func TestEscapedAli(t *testing.T) {
	form := map[string][]string{"Action": {"DescribeDedicatedHosts"}, "Version": {"2014-05-26"}, "Status": {"Available ~*+"}}
	text := signAli(form, aliKey{ID: "testid", Secret: "testsecret"}, time.Date(2016, 2, 23, 12, 46, 24, 0, time.UTC), "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf")
	if !strings.Contains(text, "Status=Available%20~%2A%2B&") || !strings.Contains(text, "Timestamp=2016-02-23T12%3A46%3A24Z&") {
		t.Errorf("not escaped as the page says: %s", text)
	}
}

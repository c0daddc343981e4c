package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// world is a cloud with a login to it, a clock that passes by waiting alone, and what a
// cluster wants and has noted.
type world struct {
	t     *testing.T
	aws   *cloudfake.AWS
	login Login
	want  []ground.Cloud
	note  []state.Cloud
	clock time.Time
	env   map[string]string
	waits int
}

// newWorld is a VPC with two subnets: a with the main table, b with one of its own. Servers of
// odd numbers are in a.
func newWorld(t *testing.T, servers int) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	w.aws = &cloudfake.AWS{
		Region: "eu-central-1", Fail: map[string]string{}, Denied: map[string]bool{},
		Now: func() time.Time { return w.clock },
		Tables: []*cloudfake.Table{
			{ID: "rtb-main", VPC: "vpc-1", Main: true, Routes: []cloudfake.Route{{To: "172.31.0.0/16", By: "local", Origin: "CreateRouteTable"}, {To: "0.0.0.0/0", By: "igw-1"}}},
			{ID: "rtb-b", VPC: "vpc-1", Subnets: []string{"subnet-b"}, Routes: []cloudfake.Route{{To: "172.31.0.0/16", By: "local", Origin: "CreateRouteTable"}}},
			{ID: "rtb-other", VPC: "vpc-2", Main: true},
		},
	}
	n := ground.CloudNetwork{Name: "c1", Pools: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/15")}}
	for i := 1; i <= servers; i++ {
		subnet := "subnet-a"
		if i%2 == 0 {
			subnet = "subnet-b"
		}
		addr := netip.AddrFrom4([4]byte{172, 31, byte(i >> 8), byte(i)})
		w.aws.NICs = append(w.aws.NICs, &cloudfake.NIC{ID: fmt.Sprint("eni-", i), Instance: fmt.Sprint("i-", i), Subnet: subnet, VPC: "vpc-1", Addr: addr, Checked: true})
		n.Members = append(n.Members, ground.CloudMember{Server: fmt.Sprint("s", i), Addr: addr, Routed: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244 + byte(i>>8), byte(i), 0}), 24)}})
	}
	w.want = []ground.Cloud{{Kind: "aws", Region: "eu-central-1", Networks: []ground.CloudNetwork{n}}}
	server := httptest.NewServer(w.aws)
	t.Cleanup(server.Close)
	w.env = map[string]string{"AWS_ACCESS_KEY_ID": cloudfake.Key, "AWS_SECRET_ACCESS_KEY": cloudfake.Secret, "AWS_ENDPOINT_URL": server.URL, "HOME": t.TempDir()}
	w.login = Login{Getenv: func(key string) string { return w.env[key] }, pace: func(c *caller) {
		c.now = func() time.Time { return w.clock }
		c.wait = func(_ context.Context, d time.Duration) error {
			w.clock, w.waits = w.clock.Add(d), w.waits+1
			return nil
		}
	}}
	return w
}

// change is one change, as the engine makes it.
func (w *world) change() (*Set, []Result) {
	w.t.Helper()
	ctx := w.t.Context()
	s := NewSet(w.want, w.note)
	s.Touching, s.Say = func() {}, func(string, string) {}
	if err := s.Plan(ctx, w.login, func(*Place) bool { return true }); err != nil {
		w.t.Fatal(err)
	}
	if len(s.Refused()) > 0 {
		return s, s.Results()
	}
	s.Before(&w.note)
	s.Make(ctx)
	s.Clear(ctx, nil, nil)
	s.After(&w.note)
	return s, s.Results()
}

// done is a change that must work; it returns its steps by table.
func (w *world) done() map[string]string {
	w.t.Helper()
	s, results := w.change()
	if err := errors.Join(s.Refused()...); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range results {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
		for i, step := range r.Plan.Steps {
			out[r.Name] += step.String() + "\n"
			if r.Report == nil || r.Report.Steps[i] != step {
				w.t.Fatalf("%s: planned %v, did %v", r.Name, r.Plan, r.Report)
			}
		}
	}
	return out
}

// nothing is a change that must be none.
func (w *world) nothing() {
	w.t.Helper()
	if did := w.done(); len(did) > 0 {
		w.t.Fatalf("something was to be done: %v", did)
	}
	if pending := Pending(w.want, w.note); len(pending) > 0 {
		w.t.Fatalf("pending: %v", pending)
	}
}

// has says that the cloud has these lines, and has not those that begin with '!'.
func (w *world) has(lines ...string) {
	w.t.Helper()
	text := w.aws.Text()
	for _, line := range lines {
		if bare, not := strings.CutPrefix(line, "!"); strings.Contains(text, bare) == not {
			w.t.Fatalf("want %q, have\n%s", line, text)
		}
	}
}

func (w *world) calls() (total int) {
	for _, n := range w.aws.Calls() {
		total += n
	}
	return total
}

// A network comes, is as it should be, and leaves nothing.
func TestWholeLife(t *testing.T) {
	w := newWorld(t, 3)
	w.aws.Page = 1
	w.aws.NIC("eni-2").Checked = false // for a reason of its own
	before := w.aws.Text()
	did := w.done()
	if want := "~ source/dest check of eni-3: on -> off (s3)\n~ source/dest check of eni-1: on -> off (s1)\n+ route 10.244.1.0/24: to eni-1 of s1\n+ route 10.244.2.0/24: to eni-2 of s2\n+ route 10.244.3.0/24: to eni-3 of s3\n"; did["aws rtb-main"] != want {
		t.Errorf("want %s, have %s", want, did["aws rtb-main"])
	}
	if len(did) != 2 || strings.Count(did["aws rtb-b"], "+ route") != 3 {
		t.Errorf("the other subnet's table: %v", did)
	}
	w.has("rtb-main 10.244.2.0/24 eni-2 active", "rtb-b 10.244.1.0/24 eni-1 active", "!rtb-other 10", "eni-1 172.31.0.1 check false", "eni-3 172.31.0.3 check false")
	w.nothing()

	w.want[0].Networks[0].Members = w.want[0].Networks[0].Members[:2]
	w.done()
	w.has("!10.244.3.0", "eni-3 172.31.0.3 check true", "eni-1 172.31.0.1 check false")
	w.nothing()

	w.want = nil
	if pending := Pending(nil, w.note); !slices.Equal(pending, []string{"aws rtb-b", "aws rtb-main"}) {
		t.Errorf("pending before it is taken out: %v", pending)
	}
	w.aws.Denied["DeleteRoute"] = true // what fails at first is not forgotten
	w.change()
	if pending := Pending(nil, w.note); len(pending) != 2 {
		t.Errorf("pending after it failed: %v", pending)
	}
	w.aws.Denied["DeleteRoute"] = false
	w.done()
	if after := w.aws.Text(); after != before || len(w.note) > 0 {
		t.Errorf("left over: %v\n%s\nbefore\n%s", w.note, after, before)
	}
}

// Fifty members and nothing to do: three calls at most.
func TestFewCalls(t *testing.T) {
	w := newWorld(t, 50)
	w.done()
	w.calls()
	w.nothing()
	if n := w.calls(); n > 3 {
		t.Errorf("%d calls", n)
	}
}

// Five hundred routes are made at a rate that the API takes, and 501 are refused by what is known.
func TestManyRoutes(t *testing.T) {
	w := newWorld(t, 249)
	w.want[0].Networks[0].Tables = []string{"rtb-b", "rtb-main"}
	w.done()
	calls := w.aws.Calls()
	if calls["CreateRoute"] != 498 || calls["ModifyNetworkInterfaceAttribute"] != 249 { // one more would be a repetition
		t.Errorf("calls: %v", calls)
	}
	for _, n := range NewSet(w.want, w.note).Notes() {
		t.Errorf("a note before it was looked: %v", n)
	}
	s, _ := w.change()
	if notes := fmt.Sprint(s.Notes()); !strings.Contains(notes, "aws rtb-b: 249 of 500 IPv4 routes") || !strings.Contains(notes, "aws rtb-main: 250 of 500") {
		t.Errorf("notes: %s", notes)
	}
}

// Where the quota is smaller than what is known, the API says so, and what was made is known.
func TestQuota(t *testing.T) {
	w := newWorld(t, 3)
	w.aws.Quota = 3
	_, results := w.change()
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == "aws rtb-main" })
	if _, next := hint.Of(results[i].Err); results[i].Err == nil || !strings.Contains(results[i].Err.Error(), "is full") || !strings.Contains(next, "L-93826ACB") {
		t.Fatalf("%v, next %s", results[i].Err, next)
	}
	if len(Pending(w.want, w.note)) == 0 {
		t.Fatal("nothing is pending")
	}
	w.aws.Quota = 0
	w.done()
	w.nothing()
	for i := range 1100 {
		w.aws.Table("rtb-b").Routes = append(w.aws.Table("rtb-b").Routes, cloudfake.Route{To: fmt.Sprintf("11.%d.%d.0/24", i>>8, i&255), By: "igw-1"})
	}
	if s, _ := w.change(); len(s.Refused()) != 1 || !strings.Contains(s.Refused()[0].Error(), "1103 IPv4 routes, and no table has more than 1000") {
		t.Errorf("refused: %v", s.Refused())
	}
}

// Rows that were taken out come back, those that lead to another member are put right, and an
// interface that was replaced gets its row by one call.
func TestDrift(t *testing.T) {
	w := newWorld(t, 3)
	w.done()
	main := w.aws.Table("rtb-main")
	at := func(to string) int {
		return slices.IndexFunc(main.Routes, func(r cloudfake.Route) bool { return r.To == to })
	}
	main.Routes = slices.Delete(main.Routes, at("10.244.1.0/24"), at("10.244.1.0/24")+1)
	main.Routes[at("10.244.2.0/24")].By = "eni-3"
	main.Routes = append(main.Routes, cloudfake.Route{To: "10.244.9.0/24", By: "eni-1"}, cloudfake.Route{To: "10.244.10.0/24", By: "igw-1"})
	did := w.done()
	if want := "~ route 10.244.2.0/24: to eni-3 of s3 -> eni-2 of s2"; !strings.Contains(did["aws rtb-main"], want) || !strings.Contains(did["aws rtb-main"], "- route 10.244.9.0/24") {
		t.Errorf("%v", did)
	}
	w.has("rtb-main 10.244.10.0/24 igw-1")
	w.nothing()

	w.aws.NIC("eni-3").ID = "eni-33" // the instance was replaced
	w.has("rtb-main 10.244.3.0/24 eni-3 blackhole")
	w.aws.NIC("eni-33").Checked = true
	w.aws.Calls()
	did = w.done()
	if !strings.Contains(did["aws rtb-main"], "~ route 10.244.3.0/24: to eni-3 (blackhole) -> eni-33 of s3") {
		t.Errorf("%v", did)
	}
	if calls := w.aws.Calls(); calls["ReplaceRoute"] != 2 || calls["DeleteRoute"]+calls["CreateRoute"] > 0 {
		t.Errorf("calls: %v", calls)
	}
	w.has("rtb-main 10.244.3.0/24 eni-33 active", "eni-33 172.31.0.3 check false")
	w.nothing()
}

// Rows of others are not touched, also where they are in the way.
func TestOthers(t *testing.T) {
	w := newWorld(t, 2)
	w.aws.Table("rtb-b").Routes = append(w.aws.Table("rtb-b").Routes, cloudfake.Route{To: "10.244.1.0/24", By: "igw-1"})
	before := w.aws.Text()
	s, results := w.change()
	if len(s.Refused()) != 1 || !strings.Contains(s.Refused()[0].Error(), "rtb-b has a route to 10.244.1.0/24 by igw-1, which is not flock's") {
		t.Errorf("refused: %v", s.Refused())
	}
	if w.aws.Text() != before || len(w.note) > 0 || results[0].Report != nil {
		t.Error("something was done")
	}
	w = newWorld(t, 2)
	w.want[0].Networks[0].Pools[0] = netip.MustParsePrefix("172.31.64.0/18")
	if s, _ := w.change(); len(s.Refused()) == 0 || !strings.Contains(s.Refused()[0].Error(), "overlaps 172.31.0.0/16, the VPC itself") {
		t.Errorf("refused: %v", s.Refused())
	}
}

// Members must be found, and in one VPC.
func TestWhere(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"two VPCs":      {func(w *world) { w.aws.NICs[1].VPC, w.aws.NICs[1].Subnet = "vpc-2", "subnet-c" }, "s1 in vpc-1, s2 in vpc-2"},
		"not there":     {func(w *world) { w.aws.NICs = w.aws.NICs[:1] }, "no interface of the account has the address 172.31.0.2 of s2 in eu-central-1"},
		"table unknown": {func(w *world) { w.want[0].Networks[0].Tables = []string{"rtb-9"} }, "no route table rtb-9"},
		"table apart":   {func(w *world) { w.want[0].Networks[0].Tables = []string{"rtb-other"} }, "no route table rtb-other"},
		"no table":      {func(w *world) { w.aws.Tables[0].Main = false }, "no route table of vpc-1 is that of subnet-a, where s1 is"},
		"one address twice": {func(w *world) {
			w.aws.NICs = append(w.aws.NICs, &cloudfake.NIC{ID: "eni-9", VPC: "vpc-2", Subnet: "subnet-c", Addr: w.aws.NICs[0].Addr})
		}, "2 interfaces of the account have the address 172.31.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			c.spoil(w)
			s, _ := w.change()
			if err := errors.Join(s.Refused()...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
	w := newWorld(t, 2)
	w.aws.NICs = append(w.aws.NICs, &cloudfake.NIC{ID: "eni-9", VPC: "vpc-2", Subnet: "subnet-c", Addr: w.aws.NICs[0].Addr})
	for i := range 2 {
		w.want[0].Networks[0].Members[i].At = &state.CloudNIC{VPC: "vpc-1", ID: fmt.Sprint("eni-", i+1)}
	}
	w.done()
	w.has("rtb-main 10.244.1.0/24 eni-1 active", "!eni-9 active")
}

// What an API refuses is told by what lacks, and what it asks to be repeated is.
func TestRefusedCalls(t *testing.T) {
	for name, c := range map[string]struct {
		spoil            func(*world)
		err, next        string
		unseen, finished bool
	}{
		"no right to look":  {func(w *world) { w.aws.Denied["DescribeRouteTables"] = true }, "no right to ec2:DescribeRouteTables", "allow it ec2:DescribeRouteTables", true, false},
		"no right to add":   {func(w *world) { w.aws.Denied["CreateRoute"] = true }, "no right to ec2:CreateRoute", "flock apply", false, false},
		"no right to check": {func(w *world) { w.aws.Denied["ModifyNetworkInterfaceAttribute"] = true }, "no right to ec2:ModifyNetworkInterfaceAttribute", "flock apply", false, false},
		"expired":           {func(w *world) { w.aws.Expired = true }, "credentials for AWS have expired", "aws sso login", true, false},
		"wrong key":         {func(w *world) { w.env["AWS_SECRET_ACCESS_KEY"] = "other" }, "AWS does not accept the credentials (SignatureDoesNotMatch)", "get-caller-identity", true, false},
		"no login":          {func(w *world) { delete(w.env, "AWS_ACCESS_KEY_ID") }, "no credentials for AWS", "aws sso login", true, false},
		"down":              {func(w *world) { w.aws.Down = true }, "EOF", "", true, false},
		"throttled":         {func(w *world) { w.aws.Fail["CreateRoute"] = "RequestLimitExceeded" }, "", "", false, true},
		"hiccup":            {func(w *world) { w.aws.Fail["DescribeRouteTables"] = "InternalError" }, "", "", false, true},
		"made meanwhile":    {func(w *world) { w.aws.Fail["DeleteRoute"] = "x" }, "", "", false, true},
		"looks late":        {func(w *world) { w.aws.Lag = 1 }, "", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.env["PATH"] = t.TempDir() // no aws program
			t.Setenv("PATH", w.env["PATH"])
			c.spoil(w)
			_, results := w.change()
			r := results[0]
			_, next := hint.Of(r.Err)
			switch {
			case c.finished && (r.Err != nil || len(Pending(w.want, w.note)) > 0):
				t.Errorf("not finished: %v", r.Err)
			case c.finished:
			case r.Err == nil || !strings.Contains(r.Err.Error(), c.err) || !strings.Contains(next, c.next) || r.Seen == c.unseen:
				t.Errorf("%v, next %q", r, next)
			case len(Pending(w.want, w.note)) == 0:
				t.Error("nothing is pending")
			}
			if r.Err != nil && strings.Contains(fmt.Sprint(r.Err, next), cloudfake.Secret) {
				t.Error("the secret is shown")
			}
		})
	}
}

// Credentials that expire in the middle leave what was done known, and a later change ends it.
func TestExpiresInTheMiddle(t *testing.T) {
	w := newWorld(t, 3)
	w.aws.Changed = func(a *cloudfake.AWS) { a.Expired = strings.Contains(fmt.Sprint(*a.Table("rtb-b")), "10.244.2.0") }
	_, results := w.change()
	if results[0].Err == nil || results[0].Report == nil || len(results[0].Report.Steps) == len(results[0].Plan.Steps) {
		t.Fatalf("%+v", results[0])
	}
	if names := Pending(w.want, w.note); !slices.Equal(names, []string{"aws rtb-b", "aws rtb-main"}) {
		t.Errorf("pending: %v", names)
	}
	w.aws.Expired, w.aws.Changed = false, nil
	w.want = nil // and now it is not wanted any more
	w.done()
	w.has("!10.244", "!check false")
	if len(w.note) > 0 {
		t.Errorf("noted: %v", w.note)
	}
}

// A login by another profile takes over what was made.
func TestOtherProfile(t *testing.T) {
	w := newWorld(t, 2)
	w.done()
	dir := filepath.Join(w.env["HOME"], ".aws")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[default]\nregion = us-east-1\n\n[profile ops]\nregion=eu-central-1\ns3 =\n  region = nowhere\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	text = "[ops]\naws_access_key_id = " + cloudfake.Key + "\naws_secret_access_key = " + cloudfake.Secret + "\n"
	if err := os.WriteFile(filepath.Join(dir, "credentials"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.want[0].Profile, w.want[0].Region = "ops", ""
	w.env["AWS_ACCESS_KEY_ID"] = "of somebody else"
	w.nothing()
	if len(w.note) != 1 || w.note[0].Profile != "ops" {
		t.Errorf("noted: %+v", w.note)
	}
	w.want[0].Profile = "nobody"
	if _, results := w.change(); results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "no profile nobody") {
		t.Errorf("%v", results[0].Err)
	}
}

// The signer computes what AWS published (its test suite for Signature Version 4).
func TestPublishedSignatures(t *testing.T) {
	for _, c := range []struct{ method, signature string }{
		{http.MethodGet, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{http.MethodPost, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "https://example.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		err = sigv4.New().SignRequest(&sigv4.SignRequestInput{
			Request: r, PayloadHash: hashOf(""), Service: "service", Region: "us-east-1", Time: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			Credentials: credentials.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
		})
		if err != nil || !strings.HasSuffix(r.Header.Get("Authorization"), c.signature) {
			t.Errorf("%s: %v %s", c.method, err, r.Header.Get("Authorization"))
		}
	}
}

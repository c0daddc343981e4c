package cloud

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
)

// A region that a server names becomes no other host.
func TestRegionIsNoHost(t *testing.T) {
	w := newWorld(t, 1)
	delete(w.env, "AWS_ENDPOINT_URL")
	w.env["ALIBABA_CLOUD_ACCESS_KEY_ID"], w.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "a", "b"
	for _, kind := range []string{"aws", "ali"} {
		for _, region := range []string{"evil.example/?", "x.evil.example", "A", strings.Repeat("a", 33)} {
			if _, _, err := w.login.open(t.Context(), kind, region, ""); err == nil || !strings.Contains(err.Error(), "is no region of") {
				t.Errorf("%s %s: %v", kind, region, err)
			}
		}
	}
}

// A list that never ends is left.
func TestEndlessLists(t *testing.T) {
	for name, next := range map[string]func(int) string{"in circles": func(int) string { return "again" }, "1000 pages": func(n int) string { return fmt.Sprint("p", n) }} {
		calls := 0
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			action := r.FormValue("Action")
			fmt.Fprintf(rw, "<%sResponse><nextToken>%s</nextToken></%sResponse>", action, next(calls), action)
			if calls++; calls > 3000 {
				panic(http.ErrAbortHandler)
			}
		}))
		w := newWorld(t, 1)
		w.env["AWS_ENDPOINT_URL"] = server.URL
		_, results := w.change()
		if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "a list of the cloud's") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

// A page of a proxy's is no answer that there is nothing.
func TestAnswerOfAnother(t *testing.T) {
	w := newWorld(t, 1)
	w.done()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte("<html><body>log in</body></html>"))
	}))
	defer server.Close()
	w.env["AWS_ENDPOINT_URL"], w.want = server.URL, nil
	if _, results := w.change(); results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "it is a html") || len(w.note) == 0 {
		t.Errorf("%v, noted %v", results[0].Err, w.note)
	}
}

// Two networks in two VPCs of one region: when one goes, its rows go, and its checks come back.
func TestOneOfTwoVPCs(t *testing.T) {
	w := newWorld(t, 1)
	addr := netip.MustParseAddr("172.30.0.1")
	w.aws.NICs = append(w.aws.NICs, &cloudfake.NIC{ID: "eni-9", Instance: "i-9", Subnet: "subnet-z", VPC: "vpc-2", Addr: addr, Checked: true})
	w.want[0].Networks = append(w.want[0].Networks, ground.CloudNetwork{Name: "c2", Pools: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}, Members: []ground.CloudMember{{Server: "s9", Addr: addr, Routed: []netip.Prefix{netip.MustParsePrefix("10.9.1.0/24")}}}})
	w.want[0].Networks[0].Members[0].At, w.want[0].Networks[1].Members[0].At = &state.CloudNIC{VPC: "vpc-1", ID: "eni-1"}, &state.CloudNIC{VPC: "vpc-2", ID: "eni-9"}
	w.done()
	w.has("rtb-other 10.9.1.0/24 eni-9 active", "eni-9 172.30.0.1 check false")
	w.want[0].Networks = w.want[0].Networks[:1]
	w.done()
	w.has("!10.9.1.0/24", "eni-9 172.30.0.1 check true", "rtb-main 10.244.1.0/24 eni-1 active")
	w.nothing()
}

// A network without a note takes that of no other one.
func TestNotesOfTwoProfiles(t *testing.T) {
	in := func(profile string) ground.Cloud {
		return ground.Cloud{Kind: "aws", Region: "eu-central-1", Profile: profile, Networks: []ground.CloudNetwork{{Name: "c" + profile}}}
	}
	had := []state.Cloud{{Kind: "aws", Region: "eu-central-1", Profile: "ops", Sum: "x"}}
	places := Places([]ground.Cloud{in(""), in("ops")}, had)
	if len(places) != 2 || places[0].known || !places[1].known {
		t.Errorf("%+v %+v", places[0], places[1])
	}
}

// Where no member says its region, it is the one that was noted, whatever the environment says.
func TestNotedRegion(t *testing.T) {
	w := newWorld(t, 1)
	w.want[0].Region, w.env["AWS_REGION"] = "", "eu-central-1"
	w.done()
	w.env["AWS_REGION"] = "us-east-1"
	w.nothing()
	if w.note[0].Region != "eu-central-1" {
		t.Errorf("noted: %+v", w.note)
	}
	w.want[0].Profile = "nobody"
	if _, results := w.change(); results[0].Err == nil || w.note[0].Region != "eu-central-1" {
		t.Errorf("%v, noted %+v", results[0].Err, w.note)
	}
}

// Another account, in which nothing is of what was noted, is no proof that it is gone.
func TestAnotherAccount(t *testing.T) {
	w := newWorld(t, 1)
	w.done()
	w.want, w.aws.NICs, w.aws.Tables = nil, nil, nil
	if _, results := w.change(); results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "nothing of what was noted is there: rtb-main") || len(Pending(nil, w.note)) == 0 {
		t.Errorf("%v, noted %v", results[0].Err, w.note)
	}
}

// An instance that was terminated is not in the way of others: its row stays, and the rest is done.
func TestTerminated(t *testing.T) {
	w := newWorld(t, 3)
	all := w.want[0].Networks[0].Members
	w.want[0].Networks[0].Members = all[:2]
	w.done()
	w.aws.NICs = w.aws.NICs[1:]
	w.want[0].Networks[0].Members = all
	s, results := w.change()
	if len(s.Refused()) > 0 || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "172.31.0.1 of s1") {
		t.Fatalf("refused %v, error %v", s.Refused(), results[0].Err)
	}
	w.has("rtb-main 10.244.1.0/24 eni-1 blackhole", "rtb-main 10.244.3.0/24 eni-3 active", "rtb-b 10.244.3.0/24 eni-3 active")
	if len(Pending(w.want, w.note)) == 0 {
		t.Error("nothing is pending")
	}
	w.want[0].Networks[0].Members = all[1:]
	w.done()
	w.has("!10.244.1.0")
	w.nothing()
}

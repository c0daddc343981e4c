package cloud

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/hint"
)

// newGCE is a project with instances that may forward, and a network of the type gce of them.
func newGCE(t *testing.T, servers int) (*world, *cloudfake.GCE) {
	t.Helper()
	w := newWorld(t, servers)
	g := &cloudfake.GCE{Project: "proj-1", Polls: 2, Denied: map[string]bool{}, Routes: []cloudfake.GCERoute{
		{Name: "default-route-1", Network: "default", To: "10.128.0.0/20"}, {Name: "default-route-2", Network: "default", To: "0.0.0.0/0", By: "default-internet-gateway"},
	}}
	for i := range w.want[0].Networks[0].Members {
		m := &w.want[0].Networks[0].Members[i]
		m.Addr = netip.AddrFrom4([4]byte{10, 128, byte(i >> 8), byte(i + 2)})
		g.Instances = append(g.Instances, &cloudfake.Instance{Zone: fmt.Sprint("europe-west1-", i%3), Name: "vm-" + fmt.Sprint(i+1), Network: "default", Addr: m.Addr, Forward: true})
	}
	w.want[0].Kind, w.want[0].Region = "gce", "proj-1"
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	w.env["GOOGLE_OAUTH_ACCESS_TOKEN"], w.env["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"] = cloudfake.Token, server.URL+"/compute/v1/"
	return w, g
}

// A network comes, is put right, and leaves nothing.
func TestWholeLifeGCE(t *testing.T) {
	w, g := newGCE(t, 3)
	g.Page = 1
	before := g.Text()
	has := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if bare, not := strings.CutPrefix(line, "!"); strings.Contains(g.Text(), bare) == not {
				t.Fatalf("want %q, have\n%s", line, g.Text())
			}
		}
	}
	if did := w.done(); strings.Count(did["gce default"], "+ route") != 3 || len(did) != 1 {
		t.Fatalf("%v", did)
	}
	has("default 10.244.2.0/24 zones/europe-west1-1/instances/vm-2")
	w.nothing()
	g.Routes = g.Routes[:len(g.Routes)-1]
	g.Routes = append(g.Routes, cloudfake.GCERoute{Name: "of-another", Network: "default", To: "10.244.9.0/24", By: "vpn-gateway"})
	w.done()
	has("10.244.3.0/24", "10.244.9.0/24 vpn-gateway")
	w.nothing()

	g.Instances[2].Gone = true // the instance is another one, with the same address
	g.Instances = append(g.Instances, &cloudfake.Instance{Zone: "europe-west1-2", Name: "vm-3b", Network: "default", Addr: g.Instances[2].Addr, Forward: true})
	gap := false
	g.Changed = func(g *cloudfake.GCE) { gap = gap || !strings.Contains(fmt.Sprint(g.Routes), "10.244.3.0/24") }
	if did := w.done(); !strings.Contains(did["gce default"], "~ route 10.244.3.0/24: to zones/europe-west1-2/instances/vm-3 (blackhole) -> zones/europe-west1-2/instances/vm-3b of s3") {
		t.Errorf("%v", did)
	}
	has("!vm-3\n", "10.244.3.0/24 zones/europe-west1-2/instances/vm-3b")
	if gap {
		t.Error("for a moment there was no route")
	}
	w.nothing()
	// A change that ended between the two leaves both: the other one goes.
	g.Routes = append(g.Routes, cloudfake.GCERoute{Name: "flock-left", Network: "default", To: "10.244.3.0/24", By: "zones/europe-west1-0/instances/vm-1"})
	w.done()
	has("!10.244.3.0/24 zones/europe-west1-0/instances/vm-1", "10.244.3.0/24 zones/europe-west1-2/instances/vm-3b")

	w.want = nil
	w.done()
	if after := g.Text(); strings.Replace(after, "default 10.244.9.0/24 vpn-gateway\n", "", 1) != before || len(w.note) > 0 {
		t.Errorf("left over: %v\n%s", w.note, after)
	}
}

// Fifty members and nothing to do: three calls at most.
func TestFewCallsGCE(t *testing.T) {
	w, g := newGCE(t, 50)
	w.done()
	g.Calls()
	w.nothing()
	if n := g.Calls(); n > 3 {
		t.Errorf("%d calls", n)
	}
}

// What lacks is named.
func TestRefusedCallsGCE(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(*world, *cloudfake.GCE)
		err, next string
	}{
		"may not forward": {func(_ *world, g *cloudfake.GCE) { g.Instances[1].Forward = false }, "s2 may not forward packets of others in gce", "canIpForward"},
		"no right":        {func(_ *world, g *cloudfake.GCE) { g.Denied["compute.routes.create"] = true }, "no right to compute.routes.create", "allow it compute.routes.create"},
		"no right to see": {func(_ *world, g *cloudfake.GCE) { g.Denied["compute.instances.list"] = true }, "no right to compute.instances.list", "allow it"},
		"expired":         {func(_ *world, g *cloudfake.GCE) { g.Expired = true }, "have expired", "gcloud auth login"},
		"quota":           {func(_ *world, g *cloudfake.GCE) { g.Quota = 3 }, "quota of routes is used up", "raise the quota"},
		"down":            {func(_ *world, g *cloudfake.GCE) { g.Down = true }, "EOF", ""},
		"no login":        {func(w *world, _ *cloudfake.GCE) { delete(w.env, "GOOGLE_OAUTH_ACCESS_TOKEN") }, "no credentials for Google Cloud", "gcloud auth"},
		"two networks":    {func(_ *world, g *cloudfake.GCE) { g.Instances[1].Network = "other" }, "s1 in default, s2 in other", "a network of its own"},
		"another's route": {func(_ *world, g *cloudfake.GCE) {
			g.Routes = append(g.Routes, cloudfake.GCERoute{Name: "x", Network: "default", To: "10.244.1.0/24", By: "vpn-gateway"})
		}, "default has a route to 10.244.1.0/24 by vpn-gateway, which is not flock's", "take it out"},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := newGCE(t, 2)
			t.Setenv("PATH", t.TempDir()) // no gcloud
			c.spoil(w, g)
			s, results := w.change()
			err := results[0].Err
			if refused := s.Refused(); len(refused) > 0 {
				err = refused[0]
			}
			if _, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(next, c.next) {
				t.Errorf("%v, next %q", err, next)
			}
			if len(Pending(w.want, w.note)) == 0 {
				t.Error("nothing is pending")
			}
		})
	}
}

// A person's file of credentials, and a service account's, give a token.
func TestTokensGCE(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("grant_type")
		if r.FormValue("refresh_token") == "1//mine" && r.FormValue("client_secret") == "shh" || len(strings.Split(r.FormValue("assertion"), ".")) == 3 {
			_, _ = fmt.Fprintf(w, `{"access_token": %q, "expires_in": 3599}`, cloudfake.Token)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}`)
	}))
	defer tokens.Close()
	for grant, doc := range map[string]map[string]string{
		"refresh_token": {"type": "authorized_user", "client_id": "me", "client_secret": "shh", "refresh_token": "1//mine", "token_uri": tokens.URL},
		"urn:ietf:params:oauth:grant-type:jwt-bearer": {"type": "service_account", "client_email": "me@proj-1", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokens.URL},
		"": {"type": "authorized_user", "refresh_token": "1//old", "token_uri": tokens.URL},
	} {
		w, _ := newGCE(t, 2)
		delete(w.env, "GOOGLE_OAUTH_ACCESS_TOKEN")
		path := filepath.Join(t.TempDir(), "adc.json")
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		w.env["GOOGLE_APPLICATION_CREDENTIALS"] = path
		_, results := w.change()
		if grant == "" {
			if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "expired or revoked") {
				t.Errorf("%v", err)
			}
			continue
		}
		if results[0].Err != nil || asked != grant {
			t.Errorf("%s: asked %s, %v", grant, asked, results[0].Err)
		}
	}
}

// Names of routes are as Compute Engine wants them, and each target has one of its own.
func TestNamesGCE(t *testing.T) {
	seen := map[string]bool{}
	for _, by := range []string{"zones/a/instances/x", "zones/b/instances/x"} {
		name := gceName(Row{Table: "default", To: netip.MustParsePrefix("10.244.1.0/24"), By: by, Network: strings.Repeat("Long_name.", 9)})
		if len(name) > 63 || strings.ToLower(name) != name || strings.Contains(name, "_") || seen[name] {
			t.Errorf("%s", name)
		}
		seen[name] = true
	}
}

//go:build linux

package bgpctl

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

func speaker(neighbors ...spec.BGPNeighbor) *spec.BGP {
	return &spec.BGP{Network: "bnet", AS: 64512, RouterID: netip.MustParseAddr("10.99.0.1"), Hold: 90, Neighbors: neighbors}
}

func stepTexts(steps []spec.Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

func TestDiffOfSpeakers(t *testing.T) {
	two := spec.BGPNeighbor{Addr: netip.MustParseAddr("10.99.0.2"), AS: 64512, Name: "s2"}
	other := two
	other.Client = true
	filtered, far := two, two
	filtered.Import = []spec.PrefixRule{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}
	far.AS = 65001
	watched, unwatched := two, two
	watched.External, watched.BFD, unwatched.External = true, 300, true
	shares := speaker(two)
	shares.Prefixes = append(shares.Prefixes, netip.MustParsePrefix("10.0.10.0/24"))
	several := speaker(two)
	several.Anycast = shares.Prefixes
	for name, test := range map[string]struct {
		want, have *spec.BGP
		steps      string
	}{
		"nothing":         {nil, nil, ""},
		"the same":        {speaker(two), speaker(two), ""},
		"new":             {speaker(two), nil, "+ bgp bnet: as 64512 router-id 10.99.0.1 hold 90\n+ bgp neighbor 10.99.0.2: as 64512 name s2\n"},
		"gone":            {nil, speaker(two), "- bgp bnet\n"},
		"not running":     {speaker(two), &spec.BGP{}, "~ bgp bnet: not running -> running\n"},
		"more, and less":  {shares, speaker(), "+ bgp announce 10.0.10.0/24\n+ bgp neighbor 10.99.0.2: as 64512 name s2\n"},
		"less":            {speaker(), shares, "- bgp announce 10.0.10.0/24\n- bgp neighbor 10.99.0.2\n"},
		"several have it": {several, shares, "~ bgp announce 10.0.10.0/24: none -> while it is here\n"},
		"another session": {speaker(other), speaker(two), "~ bgp neighbor 10.99.0.2: none -> client (the daemon is started anew, its routes stay)\n"},
		"another filter":  {speaker(filtered), speaker(two), "~ bgp neighbor 10.99.0.2: none -> import permit 10.0.0.0/8\n"},
		"watched":         {speaker(watched), speaker(unwatched), "~ bgp neighbor 10.99.0.2: none -> bfd 300\n"},
		"not watched":     {speaker(unwatched), speaker(watched), "~ bgp neighbor 10.99.0.2: bfd 300 -> none (a router that still has BFD on begins a new session)\n"},
		"another AS":      {speaker(far), speaker(two), "~ bgp neighbor 10.99.0.2: as 64512 -> 65001 (ends the session, a new one begins)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ops := family.Diff([]*family.Family{&Family}, &spec.Host{BGP: test.want}, &spec.Host{BGP: test.have})
			if have := stepTexts(family.Steps(ops)); have != test.steps {
				t.Errorf("want\n%shave\n%s", test.steps, have)
			}
		})
	}
}

// TestPasswordsStayInTheirFiles: one that is on the server need not come again, one
// that is nowhere is asked for, and none outlives its neighbour.
func TestPasswordsStayInTheirFiles(t *testing.T) {
	s := host.NewFiles("default")
	s.Paths.Lib = t.TempDir()
	want := &spec.Host{BGP: speaker(spec.BGPNeighbor{Addr: netip.MustParseAddr("10.99.0.9"), AS: 65001, External: true, Secret: "ab12"})}
	problems := MissingSecrets(s, want, nil)
	if len(problems) != 1 || !strings.Contains(problems[0].Next, "addbgp bnet external SERVER 10.99.0.9 --as 65001 --password-file") {
		t.Fatalf("problems %v", problems)
	}
	if err := writeSecrets(s, want.BGP); err == nil {
		t.Fatal("a speaker without its password is written")
	}
	s.Secrets = map[string]string{"ab12": "geheim"}
	if problems := MissingSecrets(s, want, s.Secrets); len(problems) > 0 {
		t.Fatalf("problems %v", problems)
	}
	if err := writeSecrets(s, want.BGP); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(secretFile(s, "ab12"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	s.Secrets = nil
	if err := writeSecrets(s, want.BGP); err != nil {
		t.Fatal(err)
	}
	if problems := MissingSecrets(s, want, nil); len(problems) > 0 {
		t.Fatalf("problems %v", problems)
	}
	if err := DropSecrets(s, want); err != nil || !sysfile.Exists(secretFile(s, "ab12")) {
		t.Fatalf("a password in use is dropped, %v", err)
	}
	if err := DropSecrets(s, &spec.Host{BGP: speaker()}); err != nil || sysfile.Exists(secretFile(s, "ab12")) {
		t.Fatalf("a password is left, %v", err)
	}
}

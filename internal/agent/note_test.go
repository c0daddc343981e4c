//go:build linux

package agent

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// damages are shell scripts that do something to the file $f.
var damages = []struct{ name, script string }{
	{"missing", "rm -rf $f"},
	{"empty", ": >$f"},
	{"cut short", "head -c $(($(stat -c %s $f) / 2)) $f >$f.cut; mv $f.cut $f"},
	{"garbage", "head -c 300 /dev/urandom >$f"},
	{"null", "echo null >$f"},
	{"of another type", "echo '[7, {}]' >$f"},
	{"of a future version", `echo '{"Version": 9, "Cluster": {"Name": "test"}, "Links": {"vxl0": {}}, "net/ipv4/ip_forward": {"Was": "0"}}' >$f`},
	{"a directory", "rm -rf $f; mkdir $f"},
	{"a directory with something in it", "rm -rf $f; mkdir $f; echo >$f/x"},
	{"a link to itself", "rm -rf $f; ln -s $f $f"},
	{"a pipe", "rm -rf $f; mkfifo $f"},
}

// noted is a server with all sorts of what is remembered.
func noted(t *testing.T, m *machine) *spec.Host {
	t.Helper()
	want := testHost(1450)
	want.Routes = []spec.Route{
		{Dst: prefix("10.50.1.0/24"), Via: addr("10.99.0.2"), Dev: "eth0", Proto: spec.RouteProto},
		{Dst: prefix("10.50.2.0/24"), Unreachable: true, Proto: spec.RouteProto},
	}
	c := m.call()
	keys := c.must(spec.Request{Op: spec.OpKeys, Want: want, Keys: []string{"wg-x"}}).Keys
	want.Links = append(want.Links, spec.Link{Name: "wg-x", Network: "x", Kind: spec.WireGuard, MTU: 1420, Key: keys["wg-x"], Port: 51820})
	peer, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	want.Peers = []spec.Peer{{Link: "wg-x", Key: peer.PublicKey().String(), Endpoint: "10.99.0.2:51820"}}
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	return want
}

// notesOf are all files that a machine's agent left, but what it locks with.
func (m *machine) notesOf() []string {
	m.t.Helper()
	return strings.Fields(m.sh("find /var/lib/flock/test /run/flock/test.d -type f ! -name '*.copy' | sort"))
}

// standing is what traces says, without files and without rules' handles.
func (m *machine) standing() string {
	m.t.Helper()
	return m.sh(`ip -br link | awk '{print $1}'; ip -4 -br addr; ip route show table all; nft list ruleset; wg show all dump
		cat /proc/sys/net/ipv4/ip_forward; ss -Hlun | awk '{print $4}' | sort`)
}

// TestDamagedNotesAreMadeAnew: whatever happens to a file that the agent keeps, and to all
// of one sort at once with their copies, the next apply puts it right without touching what
// stands, names the notes in one step, and purge leaves nothing.
func TestDamagedNotesAreMadeAnew(t *testing.T) {
	sample := newMachine(t)
	noted(t, sample)
	files := sample.notesOf()
	for _, must := range []string{spec.SpecFile, "sysctl.json", host.RouteFile, "wg-x.key", "dnsmasq-vx1.conf"} {
		if !strings.Contains(strings.Join(files, " "), "/"+must) {
			t.Fatalf("%s is not among %q", must, files)
		}
	}
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "/"), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			before := m.traces()
			want := noted(t, m)
			stands := m.standing()
			for _, d := range damages {
				m.sh("f=" + file + "; rm -rf $f.copy; " + d.script)
				m.mends(t, d.name, want)
				if have := m.standing(); have != stands {
					t.Fatalf("%s: %s", d.name, gocmp.Diff(stands, have))
				}
			}
			for _, d := range damages {
				if d.name != "missing" && d.name != "garbage" && d.name != "a directory with something in it" {
					continue
				}
				m.sh("f=" + file + "; rm -rf $f.copy; " + d.script)
				if have := m.purged(); have != before {
					t.Fatalf("purge with it %s: %s", d.name, gocmp.Diff(before, have))
				}
				noted(t, m)
			}
		})
	}
}

// TestNothingIsLeftWithoutAnyNote: purge finds by the kernel's marks what all notes, lost at
// once, said.
func TestNothingIsLeftWithoutAnyNote(t *testing.T) {
	for _, script := range []string{
		"rm -rf /var/lib/flock/test", "rm -rf /var/lib/flock /run/flock/test.d",
		"for f in $(find /var/lib/flock -type f); do echo x >$f; done", "for f in $(find /var/lib/flock -type f); do : >$f; done",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			before := m.traces()
			want := noted(t, m)
			stands := m.standing()
			m.sh(script)
			m.mends(t, script, want)
			if have := m.standing(); have != stands {
				t.Fatalf("apply: %s", gocmp.Diff(stands, have))
			}
			m.sh(script)
			if have := m.purged(); have != before {
				t.Fatalf("purge: %s", gocmp.Diff(before, have))
			}
		})
	}
}

// TestBootWithDamagedNotes: what has a copy comes back; without, nothing is taken away, and
// the boot says why.
func TestBootWithDamagedNotes(t *testing.T) {
	const down = `kill $(cat /run/flock/test.d/*.pid); ip link del vxl0-vx; ip link del vxl0; ip link del wg-x || :; ip route flush proto 70
		nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward; rm -r /run/flock`
	for _, note := range []string{spec.SpecFile, "sysctl.json", host.RouteFile} {
		m := newMachine(t)
		want := noted(t, m)
		stands := m.standing()
		m.sh(down + "; echo x >/var/lib/flock/test/" + note)
		m.boot()
		if have := m.standing(); have != stands {
			t.Fatalf("%s: %s", note, gocmp.Diff(stands, have))
		}
		m.sh(down + "; for f in /var/lib/flock/test/" + note + "*; do echo x >$f; done")
		out, err := m.agent("boot").CombinedOutput()
		if note != spec.SpecFile {
			if have := m.standing(); err != nil || have != stands {
				t.Fatalf("%s: %v: %s: %s", note, err, out, gocmp.Diff(stands, have))
			}
			continue
		}
		if err == nil || !strings.Contains(string(out), spec.SpecFile+" is damaged or lost") {
			t.Errorf("boot without %s: %v: %s", note, err, out)
		}
		m.sh("ls /var/lib/flock/test/wg-x.key /var/lib/flock/test/dnsmasq-vx1.leases")
		c := m.call()
		if s := c.must(spec.Request{Op: spec.OpStatus, Want: want}).Plan.Steps; !strings.Contains(stepText(s), "~ notes: spec.json damaged") {
			t.Errorf("status: %s", stepText(s))
		}
		c.must(spec.Request{Op: spec.OpApply, Want: want})
		c.must(spec.Request{Op: spec.OpConfirm})
		c.hangUp()
		if have := m.standing(); have != stands {
			t.Fatalf("apply: %s", gocmp.Diff(stands, have))
		}
	}
}

// mends applies want, which stands but for a note that is damaged.
func (m *machine) mends(t *testing.T, what string, want *spec.Host) {
	t.Helper()
	c := m.call()
	defer c.hangUp()
	plan := c.must(spec.Request{Op: spec.OpPlan, Want: want, Keys: []string{"wg-x"}})
	notes := 0
	for _, s := range plan.Plan.Steps {
		if s.Object == "notes" {
			notes++
		}
		if !strings.HasPrefix(s.Object, "notes") && !strings.HasPrefix(s.Object, "dhcp") && s.Object != "boot" {
			t.Errorf("%s: unexpected step %s", what, s)
		}
	}
	if notes > 1 || len(plan.Plan.Problems) > 0 || plan.Keys["wg-x"] != want.Links[2].Key {
		t.Errorf("%s: %d steps about notes, problems %v, key %v", what, notes, plan.Plan.Problems, plan.Keys)
	}
	if len(plan.Plan.Steps) > 0 {
		report := c.must(spec.Request{Op: spec.OpApply, Want: want}).Report
		if have, want := stepText(report.Steps), stepText(plan.Plan.Steps); have != want {
			t.Errorf("%s: planned %q, did %q", what, want, have)
		}
		c.must(spec.Request{Op: spec.OpConfirm})
	}
	if plan := c.must(spec.Request{Op: spec.OpStatus, Want: want, Keys: []string{"wg-x"}}); len(plan.Plan.Steps) > 0 || plan.Plan.Sum != want.Sum() {
		t.Errorf("%s: left to do: %s (sum %q)", what, stepText(plan.Plan.Steps), plan.Plan.Sum)
	}
}

// purged removes all and returns what is there then.
func (m *machine) purged() string {
	m.t.Helper()
	c := m.call()
	if r := c.must(spec.Request{Op: spec.OpPurge, Want: &spec.Host{Cluster: "test"}}).Report; r == nil || r.Left > 0 {
		m.t.Errorf("purge: %+v", r)
	}
	c.hangUp()
	return m.traces()
}

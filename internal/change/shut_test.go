package change

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// beside is what a server says of its firewalld, which one has.
func (f *fleet) beside(name string, r *spec.Request) *spec.Reply {
	f.examined = append(f.examined, name)
	out := &spec.DoctorReply{}
	for _, script := range r.Doctor.Run {
		ran := spec.Ran{}
		if name == f.walled && strings.Contains(script, "firewall-cmd") {
			ran.Text = "public\npublic (active)\n  target: default\n  interfaces: eth0\n  ports: 22/tcp\n"
		}
		out.Ran = append(out.Ran, ran)
	}
	return &spec.Reply{Doctor: out}
}

// A firewall that drops a network's packets is named before there are any, and where members
// do not hear each other; one that is not in the way is not asked.
func TestFirewallsAreNamed(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }})
	join := func(members ...string) Request {
		return Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "vx1", members) }, Networks: []string{"vx1"}}
	}
	f.walled = "s2"
	f.servers["s2"].drift = []spec.Step{{Action: spec.Add, Object: "link vxl0-vx"}}
	dry := join("s1", "s2")
	dry.DryRun = true
	const says = "firewalld is active and does not let UDP port 4789 in; on s2: firewall-cmd --permanent --zone=public --add-port=4789/udp && firewall-cmd --zone=public --add-port=4789/udp"
	if out := carry(t, e, dry); len(out.Beside) != 1 || out.Beside[0].Network != "s2" || out.Beside[0].Text != says {
		t.Errorf("a dry run says %v", out.Beside)
	}
	if have := strings.Join(f.examined, " "); have != "s2" {
		t.Errorf("only s2 is to have a device, asked were %s", have)
	}
	f.servers["s2"].drift, f.examined = nil, nil
	if out := carry(t, e, join("s1", "s2")); len(out.Beside) > 0 || len(f.examined) > 0 {
		t.Errorf("members that hear each other: %v, asked were %v", out.Beside, f.examined)
	}
	for _, name := range []string{"s1", "s2"} {
		f.servers[name].step = "fdb 00:00:00:00:00:00 dev vxl0-vx"
	}
	f.walled, f.hushed = "s1", "10.0.4.254"
	out := carry(t, e, join("s3"))
	if len(out.Silent) != 1 || len(out.Beside) != 1 || !strings.HasPrefix(out.Beside[0].Text, "firewalld is active") || out.Beside[0].Network != "s1" {
		t.Errorf("members that do not hear each other: %v, %v", out.Silent, out.Beside)
	}
}

//go:build linux

package guest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kept is what libvirt 9 writes of a guest: the second interface has all that a moved one must
// keep, and text that looks like an interface is none.
const kept = `<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. <domain> CHANGES TO IT ARE LIKELY TO BE
-->

<domain type='qemu'>
  <name>web</name>
  <uuid>2f1a9c4e-0000-4000-8000-000000000001</uuid>
  <title>a &lt;interface&gt; of &apos;mine&apos;</title>
  <metadata>
    <other:note xmlns:other="urn:other"><interface type='bridge'><mac address='52:54:00:ff:ff:ff'/></interface></other:note>
    <flock:attached xmlns:flock="urn:flock:prod">
      <flock:nic name="eth1" mac="6a:0c:00:00:00:01" network="vx1"/>
      <flock:nic name="lan" mac="52:54:00:00:00:02" network="vx1">
        <flock:interface type="network"><flock:source network="default" portgroup="a&amp;b"/><flock:mtu size="9000"/></flock:interface>
      </flock:nic>
    </flock:attached>
    <flock:attached xmlns:flock="urn:flock:test"><nic name="eth9" mac="6a:0c:00:00:00:09" network="n"/></flock:attached>
  </metadata>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <!-- <interface type='bridge'><mac address='52:54:00:ee:ee:ee'/></interface> -->
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default'/>
      <model type='e1000'/>
    </interface>
    <interface type='bridge' trustGuestRxFilters='yes'>
      <mac address='52:54:00:00:00:02'/>
      <source bridge='vxl0'/>
      <model type='virtio'/>
      <filterref filter='clean-traffic'><parameter name='IP' value='10.0.4.9'/></filterref>
      <mtu size='1450'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </interface>
    <interface type='direct'>
      <mac address='52:54:00:00:00:03'/>
      <source dev='eth0' mode='bridge'/>
    </interface>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:04'/>
      <source bridge='ovs0'/>
      <virtualport type='openvswitch'/>
    </interface>
  </devices>
</domain>
`

// running is what it writes of one that runs.
const running = `<domstatus state='running' reason='booted' pid='%PID%'>
  <taint flag='x'/>
  <monitor path='/var/lib/libvirt/qemu/domain-1-web/monitor.sock' type='unix'/>
  <domain type='qemu' id='1'>
    <name>web</name>
    <uuid>2f1a9c4e-0000-4000-8000-000000000001</uuid>
    <devices>
      <interface type='network'>
        <mac address='52:54:00:00:00:01'/>
        <source network='default' portid='7' bridge='virbr0'/>
        <actual type='network'>
          <source bridge='virbr0'/>
        </actual>
        <target dev='vnet0'/>
        <alias name='net0'/>
      </interface>
    </devices>
  </domain>
</domstatus>
`

func files(t *testing.T) Files {
	t.Helper()
	f := Files{Kept: t.TempDir(), Running: t.TempDir(), Proc: t.TempDir()}
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(f.Kept, "web.xml"), kept)
	write(filepath.Join(f.Kept, "networks", "default.xml"), "<network/>")
	write(filepath.Join(f.Running, "web.xml"), strings.ReplaceAll(running, "%PID%", "77"))
	write(filepath.Join(f.Running, "gone.xml"), strings.ReplaceAll(running, "%PID%", "78"))
	write(filepath.Join(f.Proc, "77", "cmdline"), "/usr/bin/qemu\x00-name\x00guest=web,debug-threads=on")
	write(filepath.Join(f.Proc, "78", "cmdline"), "sleep")
	return f
}

// TestGuestIsReadFromFiles: what runs is what has a process, marks are told by cluster, and
// interfaces have names where nobody gave them one.
func TestGuestIsReadFromFiles(t *testing.T) {
	f := files(t)
	names, err := f.Names()
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"gone", "web"}) {
		t.Errorf("names: %q, %v", names, err)
	}
	if g, err := f.Find("gone"); g != nil || err != nil {
		t.Errorf("a guest whose process is another's: %v, %v", g, err)
	}
	g, err := f.Find("web")
	if err != nil || g == nil || g.Kept == nil || g.Running == nil {
		t.Fatalf("web: %+v, %v", g, err)
	}
	if g.UUID != "2f1a9c4e-0000-4000-8000-000000000001" || len(g.Kept.NICs) != 4 || g.Now() != g.Running {
		t.Errorf("web: %s, %d interfaces", g.UUID, len(g.Kept.NICs))
	}
	if n := g.Running.NIC("52:54:00:00:00:01"); n == nil || n.Bridge != "virbr0" || n.Target != "vnet0" || n.On("virbr0") || !n.Movable() {
		t.Errorf("running: %+v", n)
	}
	for mac, movable := range map[string]bool{"52:54:00:00:00:01": true, "52:54:00:00:00:02": true, "52:54:00:00:00:03": false, "52:54:00:00:00:04": false} {
		if n := g.Kept.NIC(mac); n == nil || n.Movable() != movable {
			t.Errorf("%s is movable, want %v", mac, movable)
		}
	}
	marks := g.Kept.Marks("prod")
	want := []Mark{
		{Cluster: "prod", Interface: "eth1", MAC: "6a:0c:00:00:00:01", Network: "vx1"},
		{
			Cluster: "prod", Interface: "lan", MAC: "52:54:00:00:00:02", Network: "vx1",
			Was: `<interface type="network"><source network="default" portgroup="a&amp;b"/><mtu size="9000"/></interface>`,
		},
	}
	if !slices.Equal(marks, want) {
		t.Errorf("marks: %q", marks)
	}
	if len(g.Kept.Marks("")) != 3 || len(g.Kept.Marks("pro")) != 0 || len((*Domain)(nil).Marks("prod")) != 0 {
		t.Error("marks of other clusters")
	}
	if have := g.Kept.Labels(g.Kept.Marks("")); !slices.Equal(have, []string{"eth0", "lan", "eth2", "eth3"}) {
		t.Errorf("labels: %q", have)
	}
	if have := g.Kept.Labels([]Mark{{Interface: "eth0", MAC: "52:54:00:00:00:02"}}); !slices.Equal(have, []string{"eth1", "eth0", "eth2", "eth3"}) {
		t.Errorf("labels, the second called eth0: %q", have)
	}
}

// TestSources: an interface that is moved keeps what is not about where it is plugged in, and gets
// back what it had.
func TestSources(t *testing.T) {
	d := Parse(kept)
	n := d.NIC("52:54:00:00:00:01")
	moved := n.In(Source("vxl0", 1450), false)
	is := nicOf((&element{inside: moved}).child("interface"))
	if !is.On("vxl0") || is.MTU != 1450 || is.model != "e1000" || is.MAC != n.MAC {
		t.Errorf("moved:\n%s", moved)
	}
	back := is.In(n.Source(), false)
	if again := nicOf((&element{inside: back}).child("interface")); again.Source() != n.Source() || again.MTU != 0 || again.model != "e1000" {
		t.Errorf("given back:\n%s\nwas\n%s", again.Source(), n.Source())
	}
	lan := d.NIC("52:54:00:00:00:02")
	was := d.Marks("prod")[1].Was
	back = lan.In(was, false)
	for _, part := range []string{`<interface type='network' trustGuestRxFilters='yes'>`, `portgroup="a&amp;b"`, "clean-traffic", "9000", "0x03"} {
		if !strings.Contains(back, part) {
			t.Errorf("%s is missing in\n%s", part, back)
		}
	}
	if SourceMTU(was) != 9000 || SourceMTU(n.Source()) != 0 {
		t.Error("MTU of a source")
	}
	if fixed := lan.In(was, true); !strings.Contains(fixed, "<mtu size='1450'/>") || strings.Contains(fixed, "9000") {
		t.Errorf("the MTU of one that runs:\n%s", fixed)
	}
	live := Parse("<domain><devices><interface type='network'><mac address='52:54:00:00:00:01'/><source network='default' portid='7' bridge='virbr0'/></interface></devices></domain>").NIC(n.MAC)
	if live.Source() != "<interface type='network'><source network='default'/></interface>" {
		t.Errorf("source of one that runs: %s", live.Source())
	}
	text := d.New("6a:0c:00:00:00:07", "flk-7", "vxl0", 1450)
	if text != "<interface type='bridge'><mac address='6a:0c:00:00:00:07'/><source bridge='vxl0'/><target dev='flk-7'/><model type='e1000'/><mtu size='1450'/></interface>" {
		t.Error(text)
	}
}

// TestMarksAreReadAsWritten: whatever is in a mark.
func TestMarksAreReadAsWritten(t *testing.T) {
	marks := []Mark{{Cluster: "c", Interface: "a'b", MAC: "6a:0c:00:00:00:07", Network: `<"&>`, Was: Source("br0", 0)}, {Cluster: "c", Interface: "eth1", MAC: "x", Network: "n"}}
	text := strings.Replace(Text(marks), "<attached>", `<flock:attached xmlns:flock="`+Space("c")+`">`, 1)
	text = "<domain><metadata>" + strings.Replace(text, "</attached>", "</flock:attached>", 1) + "</metadata></domain>"
	if have := Parse(text).Marks("c"); !slices.Equal(have, marks) {
		t.Errorf("want %q\nhave %q", marks, have)
	}
}

// FuzzParse: what is damaged is read to no harm.
func FuzzParse(f *testing.F) {
	for _, text := range []string{kept, running, "<", "</a>", "<a", "<a b='", "<!--", "<![CDATA[", "<a/></a><a>"} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		d := Parse(text)
		d.Labels(d.Marks(""))
		for _, n := range d.NICs {
			_ = n.In(n.Source(), true)
		}
	})
}

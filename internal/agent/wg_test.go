//go:build linux

package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// mesh is a number of machines on one underlay, 10.99.0.1, .2 …, each with a
// WireGuard device wg-wirex, its address 10.0.8.N and a bridge app0 whose subnet
// 10.0.1N.0/24 it shares.
type mesh struct {
	t        testing.TB
	machines []*machine
	keys     []string
	before   []string
}

func newMesh(t testing.TB, n int) *mesh {
	t.Helper()
	m := &mesh{t: t, keys: make([]string, n)}
	for i := range n {
		s := newMachine(t)
		s.sh(`ip link del eth0; ip link add app0 address ` + appMAC(i) + ` type bridge; ip link set app0 up
			sysctl -qw net.ipv4.ip_forward=1; ip addr add 10.0.1` + fmt.Sprint(i+1) + `.1/24 dev app0`)
		m.machines = append(m.machines, s)
		if i == 0 {
			s.sh("ip link add eth0 type bridge; ip addr add 10.99.0.1/24 dev eth0; ip link set eth0 up")
			continue
		}
		m.machines[0].sh(fmt.Sprintf("ip link add p%d type veth peer name eth0 netns %s; ip link set p%d master eth0 up", i, s.pid, i))
		s.sh(fmt.Sprintf("ip addr add 10.99.0.%d/24 dev eth0; ip link set eth0 up", i+1))
	}
	for _, s := range m.machines {
		if n > 1 { // ports of the switch forward
			s.sh("for i in $(seq 200); do ip -br link show dev eth0 | grep -q ' UP ' && break; sleep 0.02; done")
		}
		m.before = append(m.before, s.traces())
	}
	return m
}

// appMAC is the MAC of machine i's app0.
func appMAC(i int) string { return fmt.Sprintf("6a:0b:00:00:00:%02x", i+1) }

// host is machine i's spec with the members named as peers.
func (m *mesh) host(i int, members ...int) *spec.Host {
	h := &spec.Host{
		Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
		Links:    []spec.Link{{Name: "wg-wirex", Network: "wirex", Kind: spec.WireGuard, MTU: 1440, Key: m.keys[i], Port: 51820}},
		Addrs:    []spec.Addr{{Link: "wg-wirex", Prefix: prefix(fmt.Sprintf("10.0.8.%d/32", i+1))}},
		Keeps:    []spec.PreserveSource{{Network: "wirex", Link: "wg-wirex", Subnet: prefix(fmt.Sprintf("10.0.1%d.0/24", i+1))}},
		Forwards: []spec.Forward{{Network: "wirex", Link: "wg-wirex"}},
		Claims:   []spec.Claim{{Network: "wirex", Prefix: prefix("10.0.8.0/24")}, {Network: "wirex", UDPPort: 51820}},
	}
	for _, j := range members {
		if j == i {
			continue
		}
		allowed := []netip.Prefix{prefix(fmt.Sprintf("10.0.8.%d/32", j+1)), prefix(fmt.Sprintf("10.0.1%d.0/24", j+1))}
		h.Peers = append(h.Peers, spec.Peer{Link: "wg-wirex", Key: m.keys[j], Endpoint: fmt.Sprintf("10.99.0.%d:51820", j+1), Allowed: allowed})
		for _, a := range allowed {
			h.Routes = append(h.Routes, spec.Route{Dst: a, Dev: "wg-wirex", Proto: spec.RouteProto})
		}
	}
	return h
}

// join makes machine i what host says, in a session that asks for its key first.
func (m *mesh) key(i int) *call {
	m.t.Helper()
	c := m.machines[i].call()
	ask := spec.Request{Op: spec.OpKeys, Want: &spec.Host{Cluster: "test", Store: "store1"}, Keys: []string{"wg-wirex"}}
	m.keys[i] = c.must(ask).Keys["wg-wirex"]
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`).MatchString(m.keys[i]) {
		m.t.Fatalf("public key: %q", m.keys[i])
	}
	return c
}

// make applies and confirms want, and expects the steps of the plan to be steps
// unless that is "any".
func (c *call) make(want *spec.Host, steps string) {
	c.t.Helper()
	plan := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan
	if len(plan.Problems) > 0 {
		c.t.Fatalf("problems: %+v", plan.Problems)
	}
	if have := stepText(plan.Steps); steps != "any" && have != outdent(steps) {
		c.t.Fatalf("plan: want\n%shave\n%s", outdent(steps), have)
	}
	report := c.must(spec.Request{Op: spec.OpApply, Want: want, Undo: time.Minute}).Report
	if have, planned := stepText(report.Steps), stepText(plan.Steps); have != planned {
		c.t.Fatalf("planned\n%sdid\n%s", planned, have)
	}
	if report := c.must(spec.Request{Op: spec.OpConfirm}).Report; report.Left != 0 {
		c.t.Fatalf("left: %d", report.Left)
	}
	c.hangUp()
}

// up makes a full mesh of all machines.
func (m *mesh) up(members ...int) {
	m.t.Helper()
	calls := map[int]*call{}
	for _, i := range members {
		calls[i] = m.key(i)
	}
	for _, i := range members {
		calls[i].make(m.host(i, members...), "any")
	}
}

// ping wants an answer within 12 s, for a handshake that a busy machine loses is repeated
// after five; TestSpeakAfterWordsThatNobodyHeard holds what must come at once.
func (m *mesh) ping(from, to int) {
	m.t.Helper()
	m.machines[from].sh(fmt.Sprintf("ping -qc1 -w12 10.0.8.%d; ping -qc1 -w12 -I 10.0.1%d.1 10.0.1%d.1", to+1, from+1, to+1))
}

// handshake is the time of the last one on machine i with j, as wg prints it.
func (m *mesh) handshake(i, j int) string {
	m.t.Helper()
	return strings.TrimSpace(m.machines[i].sh("wg show wg-wirex latest-handshakes | grep -F " + m.keys[j] + " | cut -f2"))
}

// settled is that time once the handshake is not repeated by itself any more: Go's
// WireGuard sends its first words before it arms the clock for them, and who is
// answered in between begins anew after five seconds.
func (m *mesh) settled(i, j int) string {
	m.t.Helper()
	m.machines[i].sh(`for i in $(seq 100); do
		[ $(($(date +%s) - $(wg show wg-wirex latest-handshakes | grep -F ` + m.keys[j] + ` | cut -f2))) -ge 7 ] && exit
		sleep 0.2
	done; exit 1`)
	return m.handshake(i, j)
}

func TestWireGuardFromNothingToNothing(t *testing.T) {
	m := newMesh(t, 2)
	c1, c2 := m.key(0), m.key(1)
	p := spec.ShortKey(m.keys[1])
	c1.make(m.host(0, 0, 1), `
		+ link wg-wirex: wireguard mtu 1440 key `+m.keys[0]+` port 51820 network wirex
		+ addr 10.0.8.1/32 dev wg-wirex
		+ peer wg-wirex `+p+`: endpoint 10.99.0.2:51820 allowed 10.0.8.2/32,10.0.12.0/24
		+ keep 10.0.11.0/24 dev wg-wirex: network wirex
		+ route 10.0.12.0/24: dev wg-wirex proto 70
		+ route 10.0.8.2/32: dev wg-wirex proto 70
	`)
	c2.make(m.host(1, 0, 1), "any")
	m.ping(0, 1)
	m.ping(1, 0)
	for i, s := range m.machines {
		j := 1 - i
		want := fmt.Sprintf("%s\t(none)\t10.99.0.%d:51820\t10.0.8.%d/32,10.0.1%d.0/24\tNOW\tRX\tTX\toff", m.keys[j], j+1, j+1, j+1)
		have := regexp.MustCompile(`\t\d+\t\d+\t\d+\t`).ReplaceAllString(s.sh("wg show wg-wirex dump | tail -n +2"), "\tNOW\tRX\tTX\t")
		if strings.TrimSpace(have) != want {
			t.Errorf("wg show on %d: want\n%s\nhave\n%s", i, want, have)
		}
		if have := s.sh("wg show wg-wirex listen-port; wg show wg-wirex public-key; stat -c '%a %U' /var/lib/flock/test/wg-wirex.key"); have != "51820\n"+m.keys[i]+"\n600 root\n" {
			t.Errorf("machine %d: %s", i, have)
		}
		c := s.call()
		if f := c.must(spec.Request{Op: spec.OpFacts}).Facts; f.WireGuard != spec.UserspaceDevice && f.WireGuard != spec.KernelDevice {
			t.Errorf("facts: %q", f.WireGuard)
		}
		c.make(m.host(i, 0, 1), "")
	}
	for i, s := range m.machines {
		c := s.call()
		c.make(&spec.Host{Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 2}, `
			- link wg-wirex
			- keep 10.0.1`+fmt.Sprint(i+1)+`.0/24 dev wg-wirex
		`)
		if after := s.traces(); after != m.before[i] {
			t.Errorf("traces: want\n%s\nhave\n%s", m.before[i], after)
		}
	}
}

func TestKeysOfAPlanLeaveNoTrace(t *testing.T) {
	m := newMesh(t, 1)
	c := m.key(0)
	first := m.keys[0]
	if len(c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0)}).Plan.Steps) == 0 {
		t.Error("nothing is planned")
	}
	c.hangUp()
	if after := m.machines[0].traces(); after != m.before[0] {
		t.Errorf("traces: want\n%s\nhave\n%s", m.before[0], after)
	}
	// The pair is asked for between plan and apply; who does not ask is refused.
	c = m.machines[0].call()
	m.keys[0] = first
	plan := c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0)}).Plan
	if len(plan.Problems) != 0 {
		t.Errorf("a plan without the key: %+v", plan.Problems)
	}
	report := c.ask(spec.Request{Op: spec.OpApply, Want: m.host(0)}).Report
	if report.Error == nil || !report.Undone || !strings.Contains(report.Error.What, "not on this server") {
		t.Errorf("an apply without the key: %+v", report)
	}
	c.hangUp()
	if after := m.machines[0].traces(); after != m.before[0] {
		t.Errorf("traces: want\n%s\nhave\n%s", m.before[0], after)
	}
}

func TestPeersComeAndGoAlone(t *testing.T) {
	m := newMesh(t, 3)
	m.up(0, 1)
	m.ping(0, 1)
	since := m.settled(0, 1)
	if since == "0" || since == "" {
		t.Fatal("no handshake")
	}
	lossless := m.background(0, "-i 0.01 -c 400 -W 1 10.0.8.2")
	c3 := m.key(2)
	c3.make(m.host(2, 0, 1, 2), "any")
	m.machines[0].call().make(m.host(0, 0, 1, 2), `
		+ peer wg-wirex `+spec.ShortKey(m.keys[2])+`: endpoint 10.99.0.3:51820 allowed 10.0.8.3/32,10.0.13.0/24
		+ route 10.0.13.0/24: dev wg-wirex proto 70
		+ route 10.0.8.3/32: dev wg-wirex proto 70
	`)
	m.machines[1].call().make(m.host(1, 0, 1, 2), "any")
	m.ping(2, 0)
	m.ping(2, 1)
	m.machines[0].call().make(m.host(0, 0, 1), `
		- route 10.0.13.0/24
		- route 10.0.8.3/32
		- peer wg-wirex `+spec.ShortKey(m.keys[2])+`
	`)
	lossless()
	if now := m.handshake(0, 1); now != since {
		t.Errorf("the handshake between others moved from %s to %s", since, now)
	}
}

// background runs a ping on machine i; the result waits for its end and expects
// that it lost nothing. Another one before it makes the flow known: when two processors
// see the first packets of a flow at once, the kernel may drop one (nf_conntrack).
func (m *mesh) background(i int, args string) func() {
	script := fmt.Sprintf("ping -q -e 77 %[1]s -c 1 >/dev/null; ping -q -e 77 %[1]s", args)
	out := make(chan string, 1)
	cmd := m.machines[i].command("sh", "-ec", script)
	go func() {
		text, err := cmd.CombinedOutput()
		out <- fmt.Sprint(string(text), err)
	}()
	return func() {
		m.t.Helper()
		if text := <-out; !strings.Contains(text, " 0% packet loss") {
			m.t.Errorf("%s: %s", script, text)
		}
	}
}

func TestWireGuardDriftIsNamedAndRepaired(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	s, p := m.machines[0], spec.ShortKey(m.keys[1])
	stranger := strings.TrimSpace(s.sh("wg genkey | wg pubkey"))
	for _, c := range []struct{ name, drift, steps string }{
		{"peer gone", "wg set wg-wirex peer KEY remove", "+ peer wg-wirex " + p + ": endpoint 10.99.0.2:51820 allowed 10.0.8.2/32,10.0.12.0/24"},
		{"peer too many", "wg set wg-wirex peer " + stranger + " allowed-ips 10.77.0.0/24", "- peer wg-wirex " + spec.ShortKey(stranger)},
		{"allowed too many", "wg set wg-wirex peer KEY allowed-ips 10.0.8.2/32,10.0.12.0/24,10.9.0.0/16", "~ peer wg-wirex " + p + ": allowed 10.0.8.2/32,10.0.12.0/24,10.9.0.0/16 -> 10.0.8.2/32,10.0.12.0/24"},
		{"allowed too few", "wg set wg-wirex peer KEY allowed-ips 10.0.8.2/32", "~ peer wg-wirex " + p + ": allowed 10.0.8.2/32 -> 10.0.8.2/32,10.0.12.0/24"},
		{"keepalive", "wg set wg-wirex peer KEY persistent-keepalive 7", "~ peer wg-wirex " + p + ": keepalive 7 -> none"},
		{"preshared key", "wg genpsk >/run/psk; wg set wg-wirex peer KEY preshared-key /run/psk; rm /run/psk", "~ peer wg-wirex " + p + ": preshared -> none"},
		{"port", "wg set wg-wirex listen-port 51999", "~ link wg-wirex: port 51999 -> 51820"},
		{"key", "wg genkey >/run/key; wg set wg-wirex private-key /run/key; wg pubkey </run/key >/run/pub; rm /run/key", "~ link wg-wirex: key PUB -> " + spec.ShortKey(m.keys[0])},
		{"no key", "wg set wg-wirex private-key /dev/null", "~ link wg-wirex: key none -> " + spec.ShortKey(m.keys[0])},
		{"mtu", "ip link set wg-wirex mtu 1300", "~ link wg-wirex: mtu 1300 -> 1440"},
		{"down", "ip link set wg-wirex down", "~ link wg-wirex: state down -> up\n+ route 10.0.12.0/24: dev wg-wirex proto 70\n+ route 10.0.8.2/32: dev wg-wirex proto 70"},
		{"keep", "nft delete chain inet flock-test keep", "+ keep 10.0.11.0/24 dev wg-wirex: network wirex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t, m.t = t, t
			s.sh(strings.ReplaceAll(c.drift, "KEY", m.keys[1]))
			steps := c.steps
			if strings.Contains(steps, "PUB") {
				steps = strings.ReplaceAll(steps, "PUB", spec.ShortKey(strings.TrimSpace(s.sh("cat /run/pub; rm /run/pub"))))
			}
			s.call().make(m.host(0, 0, 1), steps)
			m.ping(0, 1) // the other end would go on with a session that the kernel drops with the link
		})
	}
	s.t, m.t = t, t
}

// Every field of a peer and of a device is seen, set and set back.
func TestWireGuardFieldsAreSeenAndSet(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	s := m.machines[0]
	stranger := strings.TrimSpace(s.sh("wg genkey | wg pubkey"))
	peers := map[string]any{
		"Key": stranger, "Endpoint": "10.99.0.77:51821", "Keepalive": 25,
		"Allowed": []netip.Prefix{prefix("10.0.8.2/32"), prefix("10.0.99.0/24")},
	}
	links := map[string]any{"Network": "other", "MTU": 1400, "Port": uint16(51821)}
	unseen := map[string]string{
		"Peer.Link": "names the device, as Link.Name", "Peer.Preshared": "never wanted: TestWireGuardDriftIsNamedAndRepaired",
		"Link.Name": "names it", "Link.Kind": "TestKindChanges", "Link.MAC": "it has none", "Link.Down": "never wanted", "Link.Master": "it is no port",
		"Link.Turn": "it is no port", "Link.Moves": "it is no port", "Link.Extra": "never wanted: TestDriftIsNamedAndRepaired", "Link.Stiff": "never wanted: TestLinksAreRenamed",
		"Link.Tunnel": "VXLAN's", "Link.Key": "TestRotation",
	}
	try := func(name string, values map[string]any, field func(*spec.Host) reflect.Value) {
		t.Run(name, func(t *testing.T) {
			if unseen[name] != "" {
				return
			}
			_, short, _ := strings.Cut(name, ".")
			value, ok := values[short]
			if !ok {
				t.Fatal("no second value: is it seen at all?")
			}
			s.t = t
			changed := m.host(0, 0, 1)
			field(changed).Set(reflect.ValueOf(value))
			for _, want := range []*spec.Host{changed, m.host(0, 0, 1)} {
				c := s.call()
				if len(c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan.Steps) == 0 {
					t.Errorf("%v is not seen", value)
				}
				c.make(want, "any")
				s.call().make(want, "")
			}
		})
	}
	for i := range reflect.TypeFor[spec.Peer]().NumField() {
		try("Peer."+reflect.TypeFor[spec.Peer]().Field(i).Name, peers, func(h *spec.Host) reflect.Value { return reflect.ValueOf(&h.Peers[0]).Elem().Field(i) })
	}
	for i := range reflect.TypeFor[spec.Link]().NumField() {
		try("Link."+reflect.TypeFor[spec.Link]().Field(i).Name, links, func(h *spec.Host) reflect.Value { return reflect.ValueOf(&h.Links[0]).Elem().Field(i) })
	}
	s.t = t
	m.ping(1, 0)
}

func TestRoamedEndpointStays(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	endpoint := func(want string) {
		t.Helper()
		if have := m.machines[0].sh("wg show wg-wirex endpoints | cut -f2"); have != want+"\n" {
			t.Fatalf("endpoint: want %s, have %s", want, have)
		}
	}
	m.machines[1].sh("wg set wg-wirex listen-port 52000") // as behind a NAT that forgot the mapping
	m.ping(1, 0)
	endpoint("10.99.0.2:52000")
	want := m.host(0, 0, 1)
	m.machines[0].call().make(want, "")
	want.Peers[0].Keepalive = 25
	m.machines[0].call().make(want, "~ peer wg-wirex "+spec.ShortKey(m.keys[1])+": none -> keepalive 25")
	endpoint("10.99.0.2:52000")
	want.Peers[0].Endpoint = "10.99.0.2:52001"
	c := m.machines[0].call()
	c.must(spec.Request{Op: spec.OpPlan, Want: want})
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	endpoint("10.99.0.2:52001")
	c.hangUp() // not confirmed: it goes back to what was wanted before
	endpoint("10.99.0.2:51820")
	m.machines[0].call().make(want, "~ peer wg-wirex "+spec.ShortKey(m.keys[1])+": endpoint 10.99.0.2:51820 -> 10.99.0.2:52001")
	want.Peers[0].Endpoint = ""
	m.machines[0].call().make(want, "~ boot: something else comes back after a reboot")
	endpoint("10.99.0.2:52001")
}

func TestRotation(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	old := m.keys[0]
	ask := spec.Request{Op: spec.OpKeys, Want: &spec.Host{Cluster: "test", Store: "store1"}, Keys: []string{"wg-wirex"}, Rotate: true}
	c := m.machines[0].call()
	// A plan tells which key there is, and makes none.
	there := c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0, 0, 1), Keys: []string{"wg-wirex", "wg-other"}}).Keys
	if len(there) != 1 || there["wg-wirex"] != old {
		t.Fatalf("a plan names the keys %v, want that of wg-wirex", there)
	}
	m.keys[0] = c.must(ask).Keys["wg-wirex"]
	if m.keys[0] == old || c.must(ask).Keys["wg-wirex"] != m.keys[0] {
		t.Fatal("the new key is the old one, or another each time")
	}
	c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0, 0, 1)})
	c.must(spec.Request{Op: spec.OpApply, Want: m.host(0, 0, 1)})
	c.hangUp()
	if have := m.machines[0].sh("wg show wg-wirex public-key"); have != old+"\n" {
		t.Fatalf("after an undo: want %s, have %s", old, have)
	}
	c = m.machines[0].call()
	if again := c.must(ask).Keys["wg-wirex"]; again != m.keys[0] {
		t.Fatalf("an apply has named %s, and now it is %s", m.keys[0], again)
	}
	c.make(m.host(0, 0, 1), "~ link wg-wirex: key "+spec.ShortKey(old)+" -> "+spec.ShortKey(m.keys[0]))
	m.machines[1].call().make(m.host(1, 0, 1), "any")
	m.ping(0, 1)
	if have := m.machines[0].sh("cd /var/lib/flock/test; ls *.key*; wg pubkey <wg-wirex.key"); have != "wg-wirex.key\n"+m.keys[0]+"\n" {
		t.Errorf("key files: %s", have)
	}
}

// No private key in anything that an agent says, keeps beside the key file, or
// shows in the process list.
func TestPrivateKeyStaysInItsFile(t *testing.T) {
	m := newMesh(t, 2)
	s := m.machines[0]
	c := m.key(0)
	c2 := m.key(1)
	var said []byte
	for _, r := range []spec.Request{
		{Op: spec.OpFacts},
		{Op: spec.OpKeys, Want: m.host(0), Keys: []string{"wg-wirex"}},
		{Op: spec.OpStatus, Want: m.host(0, 0, 1)},
		{Op: spec.OpPlan, Want: m.host(0, 0, 1)},
		{Op: spec.OpApply, Want: m.host(0, 0, 1)},
		{Op: spec.OpConfirm},
		{Op: spec.OpStatus, Want: emptyHost()},
		{Op: spec.OpKeys, Want: m.host(0), Keys: []string{"../x", "wg-wirex"}},
	} {
		data, err := json.Marshal(c.ask(r))
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, data...)
	}
	c2.make(m.host(1, 0, 1), "any")
	m.ping(1, 0)
	private := strings.TrimSpace(s.sh("cat /var/lib/flock/test/wg-wirex.key"))
	hex := strings.TrimSpace(s.sh("base64 -d /var/lib/flock/test/wg-wirex.key | od -An -tx1 | tr -d ' \\n'"))
	c.hangUp()
	all := string(said) + c.said.String() + strings.Join(c.progress, "\n") + s.sh(`
		cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' || true
		find /var/lib/flock /run -type f ! -name '*.key' -exec cat {} +`)
	for _, secret := range []string{private, hex} {
		if len(secret) < 40 || strings.Contains(all, secret) {
			t.Errorf("the private key is told: %d bytes", len(secret))
		}
	}
}

func TestUserspaceDeviceComesBack(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	s := m.machines[0]
	if !strings.Contains(s.sh("ip -d link show wg-wirex"), " tun ") {
		t.Log("the kernel has WireGuard: no process to kill")
		return
	}
	m.ping(0, 1)
	s.sh("kill -9 $(cat /run/flock/test.d/wg-wg-wirex.pid)")
	c := s.call()
	plan := stepText(c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0, 0, 1)}).Plan.Steps)
	if !strings.Contains(plan, "~ link wg-wirex: key none -> ") {
		t.Errorf("plan after the process was killed: %s", plan)
	}
	c.make(m.host(0, 0, 1), "any")
	m.ping(0, 1)
	s.sh("kill -9 $(cat /run/flock/test.d/wg-wg-wirex.pid); ip link del wg-wirex; rm -rf /run/flock /run/wireguard")
	s.boot()
	m.ping(0, 1)
	s.sh("ip link del wg-wirex") // its process ends with it
	s.call().make(m.host(0, 0, 1), "any")
	m.ping(0, 1)
}

// Masquerading that containers' engines set up covers shared subnets too.
func TestForeignMasqueradeKeepsOverlaySources(t *testing.T) {
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(program, func(t *testing.T) {
			m := newMesh(t, 2)
			m.machines[0].sh(program + " -t nat -A POSTROUTING -s 10.0.11.0/24 ! -d 10.0.11.0/24 -j MASQUERADE")
			m.up(0, 1)
			m.machines[1].sh(`nft add table inet probe; nft add chain inet probe in '{ type filter hook input priority 0; }'
				nft add rule inet probe in iifname wg-wirex ip saddr 10.0.11.1 counter
				nft add rule inet probe in iifname wg-wirex ip saddr 10.0.8.1 icmp type echo-request drop`)
			m.machines[0].sh("ping -qc3 -i0.2 -W3 -I 10.0.11.1 10.0.12.1")
			if have := m.machines[1].sh("nft list table inet probe"); !strings.Contains(have, "packets 3 ") {
				t.Errorf("sources: %s", have)
			}
			m.machines[0].sh("nft delete chain inet flock-test keep")
			if out, err := m.machines[0].command("ping", "-qc1", "-W1", "-I", "10.0.11.1", "10.0.12.1").CombinedOutput(); err == nil {
				t.Errorf("without our chain it should be masqueraded: %s", out)
			}
		})
	}
}

func TestEndpointWithANameIsAskedForAgain(t *testing.T) {
	m := newMesh(t, 2)
	s := m.machines[0]
	s.sh("echo 10.99.0.2 s2.flock.test >/run/hosts; mount --bind /run/hosts /etc/hosts")
	c1, c2 := m.key(0), m.key(1)
	want := m.host(0, 0, 1)
	want.Peers[0].Endpoint = "s2.flock.test:51820"
	c1.make(want, "any")
	c2.make(m.host(1, 0, 1), "any")
	s.call().make(want, "")
	m.ping(0, 1)
	s.sh("kill -0 $(cat /run/flock/test.d/resolve.pid)")
	m.machines[1].sh("ip addr add 10.99.0.9/24 dev eth0; ip addr del 10.99.0.2/24 dev eth0; ip addr add 10.99.0.9/24 dev eth0 2>/dev/null || true")
	s.sh("echo 10.99.0.9 s2.flock.test >/run/hosts")
	if out, err := s.agent("resolve later").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if have := s.sh("wg show wg-wirex endpoints | cut -f2"); have != "10.99.0.9:51820\n" {
		t.Errorf("endpoint: %s", have)
	}
	m.ping(0, 1)
	want.Peers[0].Endpoint = "unknown.invalid:51820"
	c := s.call()
	if plan := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan; len(plan.Problems) != 1 || !strings.Contains(plan.Problems[0].What, "unknown.invalid") {
		t.Errorf("an unknown name: %+v", plan.Problems)
	}
	c.hangUp()
	s.call().make(m.host(0, 0, 1), "any")
	if out, err := exec.Command("nsenter", "-t", s.pid, "-m", "ls", "/run/flock/test.d/resolve.pid").CombinedOutput(); err == nil {
		t.Errorf("nobody has a name any more: %s", out)
	}
}

package templates

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGolden(t *testing.T) {
	dhcp := DHCP{
		Mark: "default/vx1", Bridge: "vxl0", Domain: "vxapp", Port: 53,
		PIDFile: "/run/flock/default.d/dnsmasq-vx1.pid", LeaseFile: "/var/lib/flock/default/dnsmasq-vx1.leases",
		HostsFile: "/var/lib/flock/default/dnsmasq-vx1.hosts", MaxLeases: 1000,
		NamesDir: "/var/lib/flock/default/dnsmasq-vx1.names", Script: "/var/lib/flock/default/dnsmasq-vx1.leased", Reserved: []string{"wpad", "gateway"},
		Ranges: []string{"10.0.4.2,10.0.4.190,255.255.255.0,12h"}, Router: "10.0.4.1", DNS4: []string{"10.0.4.254"}, MTU: 1450,
	}
	both := dhcp
	both.Ranges = append(both.Ranges, "fd00:4::,ra-stateless,ra-names,64,12h")
	both.DNS6, both.RA = []string{"[fd00:4::2]"}, true
	leaf := dhcp
	leaf.Leaf, leaf.Port, leaf.Router, leaf.MTU, leaf.DNS4 = true, 5354, "", 0, nil
	attached := dhcp
	attached.Known = "/var/lib/flock/default/dnsmasq-vx1.known"
	front := Front{
		Mark: "default/vx1", Bridge: "vxl0", Domains: []string{"vxapp", "vx1"}, PIDFile: "/run/flock/default.d/front-vx1.pid",
		HostsFile: "/var/lib/flock/default/front-vx1.hosts", ServersFile: "/var/lib/flock/default/front-vx1.servers",
		Names: "10.0.4.254#5356", Subnets: []string{"10.0.4.0/24"},
	}
	unmanaged := Unmanaged{Mark: "default", Spec: `{"Links":["vxl0","vxl0-vx"]}`, Links: []string{"vxl0", "vxl0-vx"}}
	for name, text := range map[string]func() (string, error){
		"dnsmasq.conf":        dhcp.Text,
		"dnsmasq-both.conf":   both.Text,
		"leaf.conf":           leaf.Text,
		"dnsmasq.leased":      dhcp.Leased,
		"known.leased":        attached.Leased,
		"dnsmasq.known":       Known{[]string{"02:00:00:00:00:01,10.0.4.7,c1", "02:00:00:00:00:02,c2"}}.Text,
		"front.conf":          front.Text,
		"front.servers":       front.Servers,
		"dnsmasq.hosts":       Hosts{Spec: `{"Network":"vx1"}`, Domain: "vxapp", Names: []Host{{"s1", "10.0.4.254"}}}.Text,
		"dnsmasq.service":     DNSMasqUnit{"default/vx1", "/usr/sbin/dnsmasq", "/var/lib/flock/default/dnsmasq-vx1.conf", dhcp.PIDFile}.Text,
		"flock-rules.service": RulesUnit{"/usr/local/lib/flock/0123abcd/flock", 90}.Text,
		"flock-early.service": EarlyUnit{"/usr/local/lib/flock/0123abcd/flock", 30}.Text,
		"flock-boot.service":  BootUnit{"/usr/local/lib/flock/0123abcd/flock", 240}.Text,
		"flock-daemon.service": DaemonUnit{
			"default/wirex", "WireGuard device wg-wirex of flock network default/wirex",
			"/usr/local/lib/flock/0123abcd/flock",
			[]string{"agent", "wireguard", "wg-wirex"},
			false,
		}.Text,
		"enters.service": DaemonUnit{
			"default", "Interfaces of containers", "/usr/local/lib/flock/0123abcd/flock", []string{"agent", "attach"}, true,
		}.Text,
		"subnet4.env": SubnetEnv{Mark: "default/n1", Network4: "10.244.0.0/16", Subnet4: "10.244.1.1/24", MTU: 1500}.Text,
		"subnet.env": SubnetEnv{
			Mark: "default/n1", Spec: `{"Network":"n1"}`, Network4: "10.244.0.0/16", Subnet4: "10.244.1.1/24",
			Network6: "fd00:244::/48", Subnet6: "fd00:244:0:1::1/64", MTU: 1450, Masquerade: true,
		}.Text,
		"unmanaged.network": unmanaged.Networkd,
		"unmanaged.conf":    unmanaged.NetworkManager,
	} {
		have, err := text()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if have != string(want) {
			t.Errorf("%s: want\n%s\nhave\n%s", name, want, have)
		}
	}
}

func TestFill(t *testing.T) {
	f := fields{"none": nil, "one": {"{{none}}"}, "two": {"a", "b"}}
	for line, want := range map[string]string{
		"plain":              "plain",
		"x {{one}} y":        "x {{none}} y",
		"x {{none}} {{one}}": "",
		"{{two}}-{{two}} ":   "a-a a-b b-a b-b ",
		"{{three}}":          "error",
		"{{one":              "error",
	} {
		have, err := fill(nil, "", []byte(line), f)
		if text := string(have); err != nil != (want == "error") || err == nil && text != want {
			t.Errorf("%q: want %q, have %q, %v", line, want, text, err)
		}
	}
}

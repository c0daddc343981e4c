package doctor

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What looks as if it would bite, and does not.
func TestFalseAlarms(t *testing.T) {
	const conf = "/proc/sys/net/ipv4/conf/"
	strict := func(p patient, dev string) {
		p.says["files"] = strings.ReplaceAll(p.says["files"], conf+dev+"/rp_filter:2\n", "") + conf + dev + "/rp_filter:1\n"
	}
	bridge := func(p patient, name, at, bits string) {
		p.says["devices"] = strings.Replace(p.says["devices"], "[", `[{"ifname":"`+name+`","linkinfo":{"info_kind":"bridge"},"addr_info":[{"local":"`+at+`","prefixlen":`+bits+`}]},`, 1)
	}
	ufw := func(p patient, rules ...string) {
		p.Seen.Chains = append(p.Seen.Chains, spec.Chain{Family: ip4, Table: "filter", Name: "ufw-before-forward"})
		p.says.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
		p.says["ufw"] = strings.Join(append(rules, "### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 in_vxl0"), "\n")
	}
	firewalld := func(p patient, zones string) { p.says["firewalld"] = zones }
	behind := func(p patient, has string) { // a login by a public address, and a WireGuard network
		p.Entry.Address = "198.51.100.7"
		p.Want.Links = append(p.Want.Links, spec.Link{Name: "wg-w", Network: "w", Kind: spec.WireGuard, Port: 51820})
		p.Facts.Interfaces[0].Addrs = append(p.Facts.Interfaces[0].Addrs, netip.MustParsePrefix(has))
		p.says["devices"] = "" // as busybox prints it
	}
	for _, c := range []struct {
		name string
		make func(*Facts, patient) // of s1
	}{
		{"strict, BGP by one device", func(_ *Facts, p patient) { bgpBy(p, "eth0"); strict(p, "eth0") }},
		{"strict, a device without BGP", func(_ *Facts, p patient) { bgpBy(p, "eth0", "eth1"); strict(p, "eth2") }},
		{"bridge in the server's part", func(f *Facts, p patient) {
			f.Cluster.Networks["pool"] = &state.Network{Type: "host-gw", Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}, Allocated: map[string]*state.Allocation{
				"s1": {Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}, "s2": {Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.2.0/24")}},
			}}
			bridge(p, "cni0", "10.244.1.1", "24")
			p.says["pools"] = `"bip": "10.244.1.129/25"`
		}},
		{"bridge in what the server shares", func(f *Facts, p patient) {
			f.Cluster.Networks["wg"] = &state.Network{Type: "wireguard", Subnets: []netip.Prefix{netip.MustParsePrefix("10.30.0.0/16")}, Shares: []string{"s1:10.30.7.0/24"}}
			bridge(p, "docker0", "10.30.7.1", "24")
		}},
		{"port 53, and no DNS here", func(_ *Facts, p patient) { p.Want.DHCPs, p.Seen.DNS = nil, "unbound" }},
		{"BIND, and no DNS here", func(_ *Facts, p patient) { p.Want.DHCPs, p.says["named"] = nil, "any" }},
		{"public address, no WireGuard", func(_ *Facts, p patient) { p.Entry.Address = "198.51.100.7" }},
		{"public address of its own", func(_ *Facts, p patient) { behind(p, "198.51.100.7/24") }},
		{"ufw, a range", func(_ *Facts, p patient) { ufw(p, "### tuple ### allow udp 4000:4999 0.0.0.0/0 any 10.0.0.0/8 in") }},
		{"ufw, a list", func(_ *Facts, p patient) {
			ufw(p, "### tuple ### limit udp 53,4780:4790 0.0.0.0/0 any 0.0.0.0/0 in comment=6162")
		}},
		{"ufw, the device", func(_ *Facts, p patient) {
			ufw(p, "### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 in_eth0")
		}},
		{"ufw, a rule by hand", func(_ *Facts, p patient) { ufw(p, "-A ufw-before-input -p udp --dport 4789 -j ACCEPT") }},
		{"ufw, senders by hand", func(_ *Facts, p patient) { ufw(p, "-A ufw-before-input -s 10.99.0.0/24 -j ACCEPT") }},
		{"ufw that is open", func(_ *Facts, p patient) { ufw(p); p.says.put("/etc/default/ufw", "DEFAULT_INPUT_POLICY=\"ACCEPT\"\n") }},
		{"firewalld, a range", func(_ *Facts, p patient) {
			firewalld(p, "public\npublic (default, active)\n  target: default\n  interfaces: eth0\n  ports: 22/tcp 4000-4999/udp\n"+bridgeTrusted)
		}},
		{"firewalld, the zone of the device", func(_ *Facts, p patient) {
			firewalld(p, "public\ninternal (active)\n  target: default\n  interfaces: eth0\n  ports: 4789/udp\n\npublic\n  target: default\n  interfaces:\n  ports:\n"+bridgeTrusted)
		}},
		{"firewalld, the zone of senders", func(_ *Facts, p patient) {
			firewalld(p, "public\npublic (active)\n  target: default\n  interfaces: eth0\n\ntrusted (active)\n  target: ACCEPT\n  sources: 10.99.0.0/24\n  interfaces: vxl0\n")
		}},
		{"firewalld, DHCP and DNS in the default zone", func(_ *Facts, p patient) {
			firewalld(p, "public\npublic (active)\n  target: default\n  interfaces: eth0\n  services: ssh dhcp dns\n  ports: 4789/udp\n")
		}},
		{"firewalld, their ports in the bridge's zone", func(_ *Facts, p patient) {
			firewalld(p, "public\npublic (active)\n  target: default\n  interfaces: eth0\n  ports: 4789/udp\n\nlan (active)\n  target: default\n  interfaces: vxl0\n  ports: 53/udp 67/udp\n")
		}},
		{"firewalld, a rich rule", func(_ *Facts, p patient) {
			firewalld(p, "public\npublic (active)\n  target: default\n  interfaces: eth0\n  rich rules:\n\trule family=\"ipv4\" source address=\"10.99.0.0/24\" accept\n")
		}},
		{"neighbours that take no room", func(_ *Facts, p patient) {
			p.says["files"] = strings.Replace(p.says["files"], "arp_cache:00000010", "arp_cache:00000390", 1)
			p.says["fixed"] = strings.Repeat("10.0.4.9 dev vxl0 lladdr 02:00:00:00:00:01 PERMANENT\n", 300)
		}},
		{"as many keys as may be tried", func(f *Facts, _ patient) { f.Workstation.Keys = 6 }},
		{"keys that are named", func(f *Facts, _ patient) {
			f.Workstation.Keys = 9
			for name, l := range f.Logins {
				l.Named = true
				f.Logins[name] = l
			}
		}},
		{"networkd told so by a later file", func(_ *Facts, p patient) {
			p.says["networkd"] = "active"
			p.says.put("/etc/systemd/networkd.conf.d/10-a.conf", "[Network]\nManageForeignRoutes=yes\n")
			p.says.put("/usr/lib/systemd/networkd.conf.d/20-b.conf", "[Network]\nManageForeignRoutes=no\n")
		}},
		{"an old kernel", func(_ *Facts, p patient) { p.Facts.Kernel = "5.4.0-150-generic" }},
		{"forwarding that a file switches on", func(_ *Facts, p patient) {
			p.Seen.Boot = []spec.AtBoot{{Key: forwardingKey, Value: "1", Path: "/etc/sysctl.d/99.conf"}}
		}},
		{"programs, and none is seen to run", func(_ *Facts, p patient) {
			p.Want.BGP, p.says["agents"], p.says["running"] = nil, programs("0123456789abcdef", "1111111111111111", "2222222222222222"), ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, all := healthy()
			c.make(f, all[0])
			if found := examine(f, all); len(found) > 0 {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// bridgeTrusted is a zone of firewalld that lets in what comes from containers.
const bridgeTrusted = "\ntrusted (active)\n  target: ACCEPT\n  interfaces: vxl0\n"

// Firewalls that let in something else are told.
func TestFirewallsThatDoNotLetIn(t *testing.T) {
	for _, rule := range []string{
		"### tuple ### allow udp 4000:4788 0.0.0.0/0 any 0.0.0.0/0 in",
		"### tuple ### allow udp 4789 0.0.0.0/0 any 0.0.0.0/0 in_eth7",
		"### tuple ### allow udp 4789 0.0.0.0/0 any 0.0.0.0/0 out",
		"### tuple ### allow tcp 4789 0.0.0.0/0 any 0.0.0.0/0 in",
		"### tuple ### allow udp 4789 ::/0 any ::/0 in",
		"### tuple ### deny udp 4789 0.0.0.0/0 any 0.0.0.0/0 in",
		"### tuple ### route:allow udp 4789 0.0.0.0/0 any 0.0.0.0/0 in",
		"-A ufw-before-input -i lo -j ACCEPT",
		"-A ufw-before-input -p udp --sport 67 --dport 68 -j ACCEPT",
		"-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"-A ufw6-before-input -p icmpv6 -s fe80::/10 -j ACCEPT",
	} {
		_, all := healthy()
		all[0].says["ufw"] = rule
		all[0].Seen.Ran = all[0].says.ran()
		if all[0].ufwAllows(ear{proto: udp, port: 4789, dev: "eth0", at: netip.MustParseAddr("10.99.0.1")}) {
			t.Errorf("%q lets UDP port 4789 of eth0 in", rule)
		}
	}
	for _, zone := range []string{
		"  interfaces: eth0\n  ports: 4789/tcp\n", "  interfaces: eth0\n  ports: 4790-4799/udp\n", "  interfaces: eth0\n  services: ssh dns\n",
		"  interfaces: eth0\n\nother (active)\n  interfaces: eth7\n  ports: 4789/udp\n",
	} {
		f, all := healthy()
		all[0].says["firewalld"] = "public\npublic (active)\n  target: default\n" + zone + bridgeTrusted
		if found := examine(f, all); len(found) != 1 || found[0].Check != "firewalld" {
			t.Errorf("zone %q: found %+v", zone, found)
		}
	}
}

// Tunnels without ports are told, and let in, by their protocol.
func TestFirewallsOfProtocols(t *testing.T) {
	for kind, p := range map[string]struct{ name, ufw, zone, fix, fix2 string }{
		spec.GRE: {"GRE (protocol 47)", "### tuple ### allow gre any 0.0.0.0/0 any 10.99.0.2 in", "gre", "ufw allow proto gre from any", "--add-protocol=gre"},
		spec.IPIP: {
			"IPIP (protocol 4)", "-A ufw-before-input -p 4 -j ACCEPT", "ipencap",
			`sed -i "/^# don.t delete the .COMMIT/i -A ufw-before-input -p 4 -j ACCEPT" /etc/ufw/before.rules && ufw reload`, "--add-protocol=ipencap",
		},
	} {
		tunnel := func(rule, zone string) []Finding {
			f, all := healthy()
			one := all[0]
			one.Want.Links = append(one.Want.Links, spec.Link{Name: "t0", Network: "t", Kind: kind, Tunnel: &spec.Tunnel{Local: netip.MustParseAddr("10.99.0.1")}})
			one.Seen.Chains = append(one.Seen.Chains, spec.Chain{Family: ip4, Table: "filter", Name: "ufw-before-forward"})
			one.says.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
			one.says["ufw"] = rule + "\n### tuple ### allow udp 4789 0.0.0.0/0 any 0.0.0.0/0 in\n"
			one.says["firewalld"] = "public\npublic (active)\n  target: default\n  interfaces: eth0\n  ports: 4789/udp\n  protocols: " + zone + "\n"
			for _, p := range all {
				p.Seen.Ran = p.says.ran()
			}
			return one.shut(f)
		}
		if found := tunnel(p.ufw, p.zone); len(found) > 0 {
			t.Errorf("%s: found %+v", kind, found)
		}
		found := tunnel("### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in", "icmp")
		if len(found) != 2 || found[0].What != "ufw is active and does not let "+p.name+" in" || found[0].Fix != p.fix ||
			found[1].What != "firewalld is active and does not let "+p.name+" in" || !strings.Contains(found[1].Fix, p.fix2) {
			t.Errorf("%s: found %+v", kind, found)
		}
	}
}

// ShutRequest asks for all that Shut judges by, and for nothing else.
func TestShutAsksForLittle(t *testing.T) {
	r := ShutRequest()
	for i, script := range scripts {
		if asked := r.Run[i] != ""; asked != slices.Contains(shut.scripts, script.name) {
			t.Errorf("asked for %s: %v", script.name, asked)
		}
	}
	if !r.Chains || len(r.Run) != len(scripts) {
		t.Errorf("asked for %+v", r)
	}
}

// Nothing is judged by an answer that is not whole, and least of all mended by it.
func TestHalfAnAnswer(t *testing.T) {
	for i, one := range scripts {
		for _, half := range []spec.Ran{{Status: -1, Why: "no end within 20s"}, {Why: "it printed more than 1 MiB"}, {Status: 3}} {
			f, all := healthy()
			p := all[0]
			p.Want.BGP = nil
			p.says["agents"] += "\n" + programs("1111111111111111", "2222222222222222")
			p.says["running"] += "\n" + agentsDir + "1111111111111111/flock"
			p.says.unit("/etc/systemd/system/flock-boot.service", "ExecStart="+agentsDir+"2222222222222222/flock agent boot\n")
			all[1].Seen.Ran = all[1].says.ran()
			p.Seen.Ran = p.says.ran()
			half.Text = p.Seen.Ran[i].Text[:len(p.Seen.Ran[i].Text)/2]
			p.Seen.Ran[i] = half
			found := Examine(f)
			told := slices.ContainsFunc(found, func(o Finding) bool { return o.Check == "unanswered" && o.Object == one.name })
			if told != (half.Why != "") || len(found) > 1 || len(Safe(found)) > 0 {
				t.Errorf("%s, of which half is known (%s): found %+v", one.name, half.Why, found)
			}
		}
	}
}

// shell runs a line as a server would, with its directories in another place.
func shell(t *testing.T, line string, places ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.NewReplacer(places...).Replace(line)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// The line that removes programs looks again: what came into use meanwhile stays.
func TestProgramsInUseAreKept(t *testing.T) {
	f, all := healthy()
	all[0].Want.BGP = nil
	all[0].says["agents"] = programs("0123456789abcdef", "idle", "named", "runs")
	found := examine(f, all)
	if len(found) != 1 || !found[0].Safe {
		t.Fatalf("found %+v", found)
	}
	dir, etc := t.TempDir()+"/", t.TempDir()+"/"
	for _, version := range []string{"0123456789abcdef", "idle", "named", "runs"} {
		if err := os.MkdirAll(dir+version, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"runs/flock", sleep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(etc+"flock-boot.service", []byte("ExecStart="+dir+"named/flock agent boot\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), dir+"runs/flock", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	shell(t, found[0].Fix, agentsDir, dir, "/etc/systemd/system/", etc)
	left, err := filepath.Glob(dir + "*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"0123456789abcdef", "named", "runs"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

// Lines that change files of others change the lines that they are about, and no other.
func TestLinesChangeFiles(t *testing.T) {
	for _, c := range []struct {
		name, path, before, after string
		make                      func(patient)
	}{
		{
			"sshd_config", "/etc/ssh/sshd_config",
			"maxsessions 1\nMaxAuthTries 6\nMatch User a\n  MaxSessions 1\n", "# maxsessions 1\nMaxAuthTries 6\nMatch User a\n  MaxSessions 1\n",
			func(p patient) { p.says["sshd"] = "maxsessions 1" },
		},
		{
			"sysctl.d", "/etc/sysctl.d/99.conf",
			"net.ipv4.ip_forward=0\n-net/ipv4/conf/all/forwarding = 0\nnet.ipv4.ip_forward_use_pmtu = 0\nnet.ipv4.tcp_syncookies=0",
			"# net.ipv4.ip_forward=0\n# -net/ipv4/conf/all/forwarding = 0\nnet.ipv4.ip_forward_use_pmtu = 0\nnet.ipv4.tcp_syncookies=0",
			func(p patient) {
				p.Seen.Boot = []spec.AtBoot{{Key: forwardingKey, Value: "0", Path: "/etc/sysctl.d/99.conf"}}
			},
		},
		{
			"a setting of its own", "/etc/sysctl.d/zz-flock-fs.inotify.max_user_instances.conf",
			"no newline", "fs.inotify.max_user_instances = 1024\n",
			func(p patient) { p.says["inotify"] = "128" },
		},
		{
			"named.conf", "/etc/bind/named.conf.options",
			"options {\n\tdirectory \"/var/cache/bind\";\n};\n",
			"options {\n\tlisten-on { !10.0.4.0/24; !10.0.5.1/32; any; };\n\tlisten-on-v6 { !fe80::/10; !fd00::1/128; any; };\n\tdirectory \"/var/cache/bind\";\n};\n",
			func(p patient) {
				p.says["named"] = "any"
				p.Want.DHCPs[0].Listen = append(p.Want.DHCPs[0].Listen, netip.MustParseAddr("10.0.5.1"), netip.MustParseAddr("fd00::1"))
			},
		},
		{
			"named.conf with IPv6", "/etc/bind/named.conf.options",
			"options {\n\tlisten-on-v6 { any; };\n};\n", "options {\n\tlisten-on { !10.0.4.0/24; !10.0.5.1/32; any; };\n\tlisten-on-v6 { !fe80::/10; !fd00::1/128; any; };\n};\n",
			func(p patient) {
				p.says["named"] = "any"
				p.Want.DHCPs[0].Listen = append(p.Want.DHCPs[0].Listen, netip.MustParseAddr("10.0.5.1"), netip.MustParseAddr("fd00::1"))
			},
		},
		{
			"networkd.conf", "/etc/systemd/networkd.conf.d/zz-flock-foreign-routes.conf",
			"", "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n",
			func(p patient) { p.says["networkd"] = "active" },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, all := healthy()
			c.make(all[0])
			found := examine(f, all)
			if len(found) != 1 {
				t.Fatalf("found %+v", found)
			}
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(root+c.path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+c.path, []byte(c.before), 0o644); err != nil {
				t.Fatal(err)
			}
			// What changes the server itself is left out.
			shell(t, found[0].Fix, "/etc/", root+"/etc/", "sysctl -w", ": sysctl -w", "systemctl", ": systemctl", "sshd -t", ":", "kill -HUP $(cat /run/sshd.pid)", ":")
			text, err := os.ReadFile(root + c.path)
			if err != nil {
				t.Fatal(err)
			}
			if string(text) != c.after {
				t.Errorf("%s\nleaves %q\nwant   %q", found[0].Fix, text, c.after)
			}
		})
	}
}

// A finding stays the same while figures in its text change: whether it is gone can be told.
func TestFindingsStayTheSame(t *testing.T) {
	f, all := healthy()
	first, second := all[0], all[1]
	of := func(instances, startups string) []Finding {
		for _, p := range []patient{first, second} {
			p.says["inotify"], p.says["sshd"] = instances, "maxsessions 1\nmaxstartups "+startups
		}
		return examine(f, all)
	}
	before, after := of("100", "1:30:100"), of("110", "2:30:100")
	if len(before) != 6 || len(after) != 6 {
		t.Fatalf("found %+v, then %+v", before, after)
	}
	for i, one := range before {
		for j, other := range after {
			if one.Same(other) != (i == j) {
				t.Errorf("%+v\nand %+v: the same %t", one, other, i != j)
			}
		}
	}
}

// After a server has a new host key ssh must forget the old one.
func TestHostKeyIsForgotten(t *testing.T) {
	f, all := healthy()
	all[1].says["files"] = strings.ReplaceAll(all[1].says["files"], "AAAAs2", "AAAAs1")
	found := examine(f, all)
	if len(found) != 1 || found[0].Check != "host-key" || found[0].Safe {
		t.Fatalf("found %+v", found)
	}
	if line := found[0].Next(f); !strings.HasPrefix(line, "ssh -l root -- 10.99.0.2 'rm -f /etc/ssh/ssh_host_") || !strings.HasSuffix(line, "' && ssh-keygen -R 10.99.0.2 -f known") {
		t.Errorf("next: %s", line)
	}
}

// NetworkManager lets go of a device by taking it down: the apply brings it back.
func TestNetworkManagerLetsGo(t *testing.T) {
	f, all := healthy()
	all[0].says["nm"] = "vxl0:connected"
	found := examine(f, all)
	if len(found) != 1 || len(Safe(found)) > 0 || !strings.HasSuffix(found[0].Next(f), "' && flock apply") {
		t.Errorf("found %+v", found)
	}
}

func TestRedact(t *testing.T) {
	const gone = "hunter"
	for _, text := range []string{
		`password = "hunter two"`, `password: 'hunter two'`, `"token": "hunter \"two\" hunter"`, "psk=hunter two",
		"secret = \"\"\"\nhunter\nhunter\"\"\"\n", "Passphrase hunter", "https://me:hunter@proxy/",
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00-hunter\n\nhunter\n-----END RSA PRIVATE KEY-----\n",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter-hunter\nhunter", // cut off
	} {
		if have := Redact(text); strings.Contains(have, gone) || strings.Contains(have, "two") || !strings.Contains(have, "(") {
			t.Errorf("%q becomes %q", text, have)
		}
	}
	for _, text := range []string{"password-id = \"abc\"", "PermitRootLogin yes", "-----BEGIN CERTIFICATE-----\nabc\n", "https://example.org/"} {
		if have := Redact(text); have != text {
			t.Errorf("%q becomes %q", text, have)
		}
	}
	if have := Redact("-----BEGIN X PRIVATE KEY-----\na\n-----END X PRIVATE KEY-----\nafter"); !strings.HasSuffix(have, "\nafter") {
		t.Errorf("what stands after a key goes with it: %q", have)
	}
}

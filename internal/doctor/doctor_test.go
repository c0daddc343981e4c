package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// answers are what scripts print on a healthy server, by name.
type answers map[string]string

func (a answers) ran() []spec.Ran {
	var out []spec.Ran
	for _, s := range scripts {
		out = append(out, spec.Ran{Text: a[s.name]})
	}
	return out
}

// put adds the text of a file.
func (a answers) put(path, text string) {
	for line := range strings.Lines(text) {
		a["files"] += path + ":" + strings.TrimSuffix(line, "\n") + "\n"
	}
}

// unit puts the text of a unit of flock's.
func (a answers) unit(path, text string) {
	for line := range strings.Lines(text) {
		a["units"] += path + ":" + strings.TrimSuffix(line, "\n") + "\n"
	}
}

// agentsDir is where the agent's programs are.
const agentsDir = "/usr/local/lib/flock/"

// programs is what is there of these versions.
func programs(versions ...string) string { return agentsDir + strings.Join(versions, "\n"+agentsDir) }

// bgpBy gives a server a BGP neighbour by each of devices.
func bgpBy(p patient, devs ...string) {
	for i, dev := range devs {
		at := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(i), 1}), 24)
		if j := slices.IndexFunc(p.Facts.Interfaces, func(i spec.Interface) bool { return i.Name == dev }); j >= 0 {
			p.Facts.Interfaces[j].Addrs = append(p.Facts.Interfaces[j].Addrs, at)
		} else {
			p.Facts.Interfaces = append(p.Facts.Interfaces, spec.Interface{Name: dev, Addrs: []netip.Prefix{at}})
		}
		p.Want.BGP.Neighbors = append(p.Want.BGP.Neighbors, spec.BGPNeighbor{Addr: at.Addr().Next()})
	}
}

// patient is a server of a healthy cluster, with what it answers.
type patient struct {
	*Server
	says answers
}

// healthy are two servers with a layer 2 network, a pool network and BGP, and nothing amiss.
func healthy() (*Facts, []patient) {
	facts := &Facts{Logins: map[string]Login{}, Cluster: &state.Cluster{Name: "default", Servers: map[string]*state.Server{}, Networks: map[string]*state.Network{
		"vx1": {Type: "vxlan", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24")}, Allocated: map[string]*state.Allocation{"s1": {}, "s2": {}}},
	}}}
	var all []patient
	for i, name := range []string{"s1", "s2"} {
		addr := netip.AddrFrom4([4]byte{10, 99, 0, byte(i + 1)})
		entry := &state.Server{Address: addr.String(), User: "root", Facts: &state.Facts{
			Default4: "eth0", Interfaces: []state.Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}}},
		}}
		facts.Cluster.Servers[name] = entry
		says := answers{
			"devices": `[{"ifname":"eth0","addr_info":[{"local":"` + addr.String() + `","prefixlen":24}]},` +
				`{"ifname":"vxl0","ifalias":"flock:default/vx1","linkinfo":{"info_kind":"bridge"},"addr_info":[{"local":"10.0.4.1","prefixlen":32}]},` +
				`{"ifname":"vxl0-vx","ifalias":"flock:default/vx1","linkinfo":{"info_kind":"vxlan"}}]`,
			"sshd": "maxstartups 10:30:100\nmaxauthtries 6", "dnsmasq": "/usr/sbin/dnsmasq",
			"agents": agentsDir + "0123456789abcdef", "running": agentsDir + "0123456789abcdef/flock", "clusters": "default/spec.json", "inotify": "7",
			"nm": "eth0:connected\nvxl0:unmanaged\nvxl0-vx:connected (externally)",
		}
		says.put("/etc/machine-id", strings.Repeat(string(rune('a'+i)), 32)+"\n")
		says.put("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
		says.put("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA"+name+" root@"+name+"\n")
		for path, text := range map[string]string{
			forwardingFile: "1", watchesMost: "128", neighboursMost: "1024", "/proc/sys/net/ipv4/conf/all/rp_filter": "0", "/proc/sys/net/ipv4/conf/eth0/rp_filter": "2",
			"/proc/net/stat/arp_cache": "entries  allocs\n00000010  0000\n00000010  0000\n",
		} {
			says.put(path, text+"\n")
		}
		s := Server{
			Name: name, Entry: entry, Plan: &spec.Plan{},
			Facts: &spec.Facts{
				Kernel: "6.1.0-42-amd64", Agent: "0123456789abcdef", WireGuard: spec.KernelDevice, Default4: "eth0",
				Interfaces: []spec.Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}}},
			},
			Seen: &spec.DoctorReply{Lacks: []string{"gre"}, Chains: []spec.Chain{
				{Family: ip4, Table: "filter", Name: "FORWARD", Forward: true, Drops: true},
				{Family: ip4, Table: "filter", Name: "DOCKER-USER", Accepts: []string{"flock:default/vx1"}},
				{Family: inet, Table: "flock-default", Name: "forward"},
			}},
			Want: &spec.Host{
				Cluster: "default", Server: name,
				Links:    []spec.Link{{Name: "vxl0", Network: "vx1", Kind: spec.Bridge}, {Name: "vxl0-vx", Network: "vx1", Kind: spec.VXLAN, Master: "vxl0", Tunnel: &spec.Tunnel{VNI: 42, Port: 4789, Local: addr}}},
				Addrs:    []spec.Addr{{Link: "vxl0", Prefix: netip.MustParsePrefix("10.0.4.254/24")}},
				FDB:      []spec.FDB{{Link: "vxl0-vx", MAC: spec.ZeroMAC, Dst: netip.MustParseAddr("10.99.0.3")}},
				Forwards: []spec.Forward{{Network: "vx1", Link: "vxl0"}},
				Sysctls:  []spec.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}},
				DHCPs:    []spec.DHCP{{Network: "vx1", Bridge: "vxl0", Listen: []netip.Addr{netip.MustParseAddr("10.0.4.1")}}},
				BGP:      &spec.BGP{},
			},
		}
		facts.Servers = append(facts.Servers, s)
		facts.Logins[name] = Login{Args: []string{"-l", "root", "--", addr.String()}, Root: true, Forget: "ssh-keygen -R " + addr.String() + " -f known"}
		all = append(all, patient{says: says})
	}
	for i := range all {
		all[i].Server = &facts.Servers[i]
	}
	return facts, all
}

// examine judges what the servers say now.
func examine(f *Facts, all []patient) []Finding {
	for _, p := range all {
		p.Seen.Ran = p.says.ran()
	}
	return Examine(f)
}

func TestNothingIsFoundOnHealthyServers(t *testing.T) {
	f, all := healthy()
	if found := examine(f, all); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

func TestFindings(t *testing.T) {
	const conf = "/proc/sys/net/ipv4/conf/"
	for _, c := range []struct {
		name string
		make func(*Facts, patient) // of s1
		want string                // in what is found
		fix  string                // in its line
		safe bool
	}{
		{"kind", func(_ *Facts, p patient) { p.Seen.Lacks = []string{"vxlan"} }, "the kernel makes no vxlan device", "modprobe -v vxlan", false},
		{"kind of Ubuntu", func(_ *Facts, p patient) {
			p.Seen.Lacks = []string{"vxlan"}
			p.says.put("/etc/os-release", "ID=ubuntu\n")
		}, "the kernel makes no vxlan device", "apt-get install -y linux-modules-extra-$(uname -r)", false},
		{"modules gone", func(_ *Facts, p patient) { p.Seen.Lacks, p.says["modules"] = []string{"vxlan"}, "gone" }, "gone from the disk", "reboot", false},
		{"forbidden module", func(_ *Facts, p patient) {
			p.Seen.Lacks = []string{"vxlan"}
			p.says.put("/etc/modprobe.d/hard.conf", "# no\ninstall vxlan /bin/false\n")
		}, "/etc/modprobe.d/hard.conf forbids its module", "sed -i", false},
		{"userspace", func(_ *Facts, p patient) {
			p.Seen.Lacks, p.Facts.WireGuard = []string{"wireguard"}, spec.UserspaceDevice
			p.Want.Links = append(p.Want.Links, spec.Link{Name: "wg-w", Network: "w", Kind: spec.WireGuard})
		}, "the kernel makes no wireguard device", "modprobe -v wireguard", false},
		{"untried", func(_ *Facts, p patient) { p.Seen.Untried = "try: permission denied" }, "kinds of devices could not be tried", "unshare", false},
		{"no dnsmasq", func(_ *Facts, p patient) { p.says["dnsmasq"] = "" }, "dnsmasq is not installed", "apt-get install -y dnsmasq-base", false},
		{"no dnsmasq on Fedora", func(_ *Facts, p patient) {
			p.says["dnsmasq"] = ""
			p.says["files"] = strings.ReplaceAll(p.says["files"], "ID=debian", "ID=fedora")
		}, "dnsmasq is not installed", "dnf install -y dnsmasq", false},
		{"dnsmasq at port 53", func(_ *Facts, p patient) { p.Seen.DNS = "dnsmasq" }, "dnsmasq has port 53 of every address", "except-interface=vxl*", false},
		{"named at port 53", func(_ *Facts, p patient) { p.Seen.DNS = "named" }, "named has port 53 of every address", "listen-on", false},
		{"BIND", func(_ *Facts, p patient) { p.says["named"] = "any" }, "named has port 53 of every address", "listen-on { !10.0.4.0/24; any; }", false},
		{"BIND and IPv6", func(_ *Facts, p patient) {
			p.says["named"] = "any"
			p.Want.DHCPs[0].Listen = append(p.Want.DHCPs[0].Listen, netip.MustParseAddr("fd00::1"))
		}, "named has port 53 of every address", "listen-on-v6 { !fe80::/10; !fd00::1/128; any;", false},
		{"no forwarding", func(_ *Facts, p patient) {
			p.says["files"] = strings.Replace(p.says["files"], forwardingFile+":1", forwardingFile+":0", 1)
		}, "net.ipv4.ip_forward is 0", "sysctl -w net.ipv4.ip_forward=1", true},
		{"no forwarding at boot", func(_ *Facts, p patient) {
			p.Seen.Boot = []spec.AtBoot{{Key: forwardingKey, Value: "0", Path: "/etc/sysctl.d/99-off.conf"}}
		}, "/etc/sysctl.d/99-off.conf sets net.ipv4.ip_forward to 0", "sed -i", false},
		{"no forwarding at boot, by a package", func(_ *Facts, p patient) {
			p.Seen.Boot = []spec.AtBoot{{Key: forwardingKey, Value: "0", Path: "/usr/lib/sysctl.d/99-off.conf"}}
		}, "/usr/lib/sysctl.d/99-off.conf sets net.ipv4.ip_forward to 0", ">/etc/sysctl.d/zz-flock-net.ipv4.ip_forward.conf", false},
		{"strict, BGP", func(_ *Facts, p patient) {
			bgpBy(p, "eth0", "eth1")
			p.says["files"] = strings.Replace(p.says["files"], conf+"eth0/rp_filter:2", conf+"eth0/rp_filter:1", 1)
		}, "rp_filter of eth0 is strict", "sysctl -w net.ipv4.conf.eth0.rp_filter=2", false},
		{"strict, another device", func(_ *Facts, p patient) {
			p.Want.BGP = nil
			p.Facts.Interfaces = append(p.Facts.Interfaces, spec.Interface{Name: "eth1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.98.0.1/24")}})
			p.Want.Links[1].Tunnel.Local = netip.MustParseAddr("10.98.0.1")
			p.says.put(conf+"eth1/rp_filter", "1\n")
		}, "rp_filter of eth1 is strict", "eth1.rp_filter=2", false},
		{"drop policy", func(_ *Facts, p patient) { p.Seen.Chains[1].Accepts = nil }, "chain ip filter FORWARD (Docker's) drops forwarded packets", "flock apply vx1", false},
		{"ufw's policy", func(_ *Facts, p patient) {
			p.Seen.Chains[1] = spec.Chain{Family: ip4, Table: "filter", Name: "ufw-before-forward"}
		}, "chain ip filter FORWARD (ufw's)", "flock apply vx1", false},
		{"firewalld refuses", func(_ *Facts, p patient) {
			p.Seen.Chains = []spec.Chain{{Family: inet, Table: "firewalld", Name: "filter_FORWARD", Forward: true, Refuses: true}}
		}, "the last rule of chain inet firewalld filter_FORWARD (firewalld's) refuses", "flock apply vx1", false},
		{"firewalld refuses what somebody gave to another zone", func(_ *Facts, p patient) {
			p.Seen.Chains = []spec.Chain{{Family: inet, Table: "firewalld", Name: "filter_FORWARD", Forward: true, Refuses: true}}
			p.says["firewalld"] = "public\npublic (active)\n  target: default\n  interfaces: eth0 vxl0\n  ports: 4789/udp\n  services: dhcp dns\n"
		}, "the last rule of chain inet firewalld filter_FORWARD (firewalld's) refuses", "firewall-cmd --zone=trusted --change-interface=vxl0", false},
		{"somebody refuses", func(_ *Facts, p patient) {
			p.Seen.Chains = []spec.Chain{{Family: inet, Table: "wall", Name: "mid", Forward: true, Refuses: true, Lets: []string{"br0"}}}
		}, "the last rule of chain inet wall mid refuses", "nft insert rule inet wall mid iifname vxl0 accept", false},
		{"libvirt's policy", func(_ *Facts, p patient) {
			p.Seen.Chains = []spec.Chain{{Family: ip4, Table: "libvirt_network", Name: "forward", Forward: true, Drops: true}}
		}, "(libvirt's) drops", "flock apply vx1", false},
		{"Docker 29, forwarding", func(_ *Facts, p patient) {
			p.says["docker"] = "Docker version 29.0.1, build eedd969\n\"firewall-backend\": \"nftables\""
			p.says["files"] = strings.Replace(p.says["files"], forwardingFile+":1", forwardingFile+":0", 1)
			p.Want.Sysctls, p.Seen.Chains = nil, nil
			p.Want.Forwards = nil
		}, "Docker uses nftables, and net.ipv4.ip_forward is 0", "net.ipv4.ip_forward=1", true},
		{"Docker 29, policy", func(_ *Facts, p patient) {
			p.says["docker"] = "Docker version 29.0.1, build eedd969\n\"firewall-backend\": \"nftables\""
		}, "drops forwarded packets, and Docker uses nftables now", "iptables -P FORWARD ACCEPT", false},
		{"ufw", func(_ *Facts, p patient) {
			p.Seen.Chains = append(p.Seen.Chains, spec.Chain{Family: ip4, Table: "filter", Name: "ufw-before-forward"})
			p.says.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
			p.says["ufw"] = "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 in_vxl0\n"
		}, "ufw is active and does not let UDP port 4789 in", "ufw allow 4789/udp", false},
		{"ufw and DHCP", func(_ *Facts, p patient) {
			p.Seen.Chains = append(p.Seen.Chains, spec.Chain{Family: ip4, Table: "filter", Name: "ufw-before-forward"})
			p.says.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
			p.says["ufw"] = "### tuple ### allow udp 4789 0.0.0.0/0 any 0.0.0.0/0 in\n"
		}, "ufw is active and lets nothing in from vxl0", "ufw allow in on vxl0", false},
		{"hangs", func(_ *Facts, p patient) {
			p.says["queues"] = "10.0.4.254%vxl0:67 users:((\"dnsmasq\",pid=4711,fd=4))\n10.0.4.192:53 users:((\"dnsmasq\",pid=4711,fd=6))\n"
		}, "dnsmasq (process 4711) does not read what comes to the ports", "kill -KILL 4711", false},
		{"firewalld, the bridge", func(_ *Facts, p patient) {
			p.says["firewalld"] = "public\npublic (active)\n  target: default\n  interfaces: eth0\n  services: dns\n  ports: 4789/udp\n"
		}, "firewalld is active and does not let DHCP and DNS in from vxl0 (zone public)", "firewall-cmd --zone=trusted --change-interface=vxl0", false},
		{"firewalld", func(_ *Facts, p patient) {
			p.says["firewalld"] = "public\npublic (active)\n  target: default\n  interfaces: eth0\n  ports: 22/tcp\n" + bridgeTrusted
		}, "firewalld is active and does not let UDP port 4789 in", "firewall-cmd --zone=public --add-port=4789/udp", false},
		{"NetworkManager", func(_ *Facts, p patient) { p.says["nm"] = "eth0:connected\nvxl0:connected" }, "NetworkManager manages vxl0", "nmcli device set vxl0 managed no", false},
		{"NetworkManager, on the way", func(_ *Facts, p patient) { p.says["nm"] = "vxl0:connecting (getting IP configuration)" }, "NetworkManager manages vxl0", "nmcli device set vxl0 managed no", false},
		{"networkd", func(_ *Facts, p patient) { p.says["networkd"] = "active" }, "systemd-networkd removes routes", "ManageForeignRoutes=no", true},
		{"overlap", func(_ *Facts, p patient) {
			p.says["devices"] = strings.Replace(p.says["devices"], "[", `[{"ifname":"docker0","linkinfo":{"info_kind":"bridge"},"addr_info":[{"local":"10.0.5.1","prefixlen":16}]},`, 1)
		}, "docker0 has 10.0.5.1/16, which overlaps 10.0.4.0/24 of network vx1", "daemon.json", false},
		{"Docker's pool", func(_ *Facts, p patient) { p.says["pools"] = "\"base\": \"10.0.0.0/16\"\n\"bip\": \"172.31.0.1/24\"" }, "Docker makes networks in 10.0.0.0/16, which overlaps 10.0.4.0/24 of network vx1", "daemon.json", false},
		{"libvirt's network", func(_ *Facts, p patient) { p.Facts.Awaited = []netip.Prefix{netip.MustParsePrefix("10.0.4.0/25")} }, "libvirt makes networks in 10.0.4.0/25", "virsh", false},
		{"NAT", func(f *Facts, p patient) {
			p.Entry.Address = "198.51.100.7"
			p.Want.Links = append(p.Want.Links, spec.Link{Name: "wg-w", Network: "w", Kind: spec.WireGuard, Port: 51820})
		}, "198.51.100.7 is not one of its own addresses", "flock setserver s1 --endpoint 198.51.100.7", false},
		{"neighbours", func(_ *Facts, p patient) {
			p.says["files"] = strings.Replace(p.says["files"], "arp_cache:00000010", "arp_cache:00000390", 1)
		}, "the neighbour table takes 1024 entries, 912 are used", "gc_thresh3=4096", true},
		{"inotify", func(_ *Facts, p patient) { p.says["inotify"] = "100" }, "100 of 128 inotify instances", "max_user_instances=1024", true},
		{"MaxStartups", func(_ *Facts, p patient) { p.says["sshd"] = "maxstartups 1:30:10\nmaxauthtries 6" }, "sshd drops connections while 1 others log in", "sshd -t", false},
		{"MaxSessions", func(_ *Facts, p patient) { p.says["sshd"] = "maxsessions 1\nmaxstartups 10:30:100" }, "sshd lets a connection have 1 session", "MaxSessions", false},
		{"keys", func(f *Facts, _ patient) { f.Workstation.Keys = 7 }, "the SSH agent offers 7 keys", "ssh-add -l", false},
		{"agents", func(_ *Facts, p patient) {
			p.Want.BGP, p.says["agents"] = nil, programs("0123456789abcdef", "fedcba9876543210", "1111111111111111", "2222222222222222")
			p.says["running"] += "\n/usr/local/lib/flock/2222222222222222/flock"
			p.says.unit("/etc/systemd/system/flock-boot.service", "# flock: boot\n[Service]\nExecStart=/usr/local/lib/flock/fedcba9876543210/flock agent boot\n")
		}, "programs of the agent that nothing uses any more: 1", "for v in " + agentsDir + "1111111111111111; do", true},
		{"agents of an older place", func(_ *Facts, p patient) {
			p.says["agents"] += "\n/opt/flock-agent/1111111111111111\n/opt/flock-agent/.tmp-1\n/root/1111111111111111"
		}, "programs of the agent that nothing uses any more: 1", "for v in /opt/flock-agent/1111111111111111; do", true},
		{"agents of an older place, the first", func(_ *Facts, p patient) {
			p.says["running"] = strings.Replace(p.says["running"], agentsDir, "/opt/flock-agent/", 1)
		}, "programs of the agent that nothing uses any more: 1", "for v in " + agentsDir + "0123456789abcdef; do", true},
		{"left device", func(_ *Facts, p patient) {
			p.says["devices"] = strings.Replace(p.says["devices"], "[", `[{"ifname":"vxl9","ifalias":"flock:other/vx9","linkinfo":{"info_kind":"bridge"}},`, 1)
		}, "left of cluster other, of which the server remembers nothing: link vxl9", "ip link delete vxl9", false},
		{"left table", func(_ *Facts, p patient) {
			p.Seen.Chains = append(p.Seen.Chains, spec.Chain{Family: 7, Table: "flock-other", Name: "forward"})
		}, "remembers nothing: table bridge flock-other", "nft delete table bridge flock-other", false},
		{"left unit", func(_ *Facts, p patient) {
			p.says.unit("/etc/systemd/system/flock-ot:her-dns-vx9.service", "# flock: ot-her/vx9\n[Unit]\n")
		}, "left of cluster ot-her", "rm -f /etc/systemd/system/flock-ot:her-dns-vx9.service", false},
		{"left of ours", func(_ *Facts, p patient) {
			p.Plan.Steps = []spec.Step{{Action: spec.Remove, Object: "link vxl9"}, {Action: spec.Remove, Object: "link vxl0"}, {Action: spec.Add, Object: "link vxl0"}}
		}, "left of this cluster: link vxl9", "flock apply", false},
		{"clock", func(_ *Facts, p patient) { p.Skew = -5 * time.Second }, "its clock is 5s behind the workstation's", "timedatectl", false},
		{"store", func(f *Facts, _ patient) { f.Workstation.Open = []Open{{"/home/a/c.toml", 0o666, 0o664}} }, "/home/a/c.toml may be written by others (mode 0666)", "chmod 0664 /home/a/c.toml", true},
		{"key file", func(f *Facts, _ patient) { f.Workstation.Open = []Open{{"/home/a/.ssh/id", 0o644, 0o600}} }, "/home/a/.ssh/id may be read by others", "chmod 0600 /home/a/.ssh/id", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, all := healthy()
			c.make(f, all[0])
			found := examine(f, all)
			if len(found) != 1 || !strings.Contains(found[0].What, c.want) || !strings.Contains(found[0].Fix, c.fix) || found[0].Safe != c.safe || found[0].Why == "" {
				t.Errorf("want %q, fix %q, safe %t, have %+v", c.want, c.fix, c.safe, found)
			}
		})
	}
}

// What two servers share is told of the second.
func TestWhatServersShare(t *testing.T) {
	f, all := healthy()
	all[1].says["files"] = all[0].says["files"]
	f.Cluster.Servers["s2"].Facts.Interfaces[0].Addrs[0] = netip.MustParsePrefix("10.99.0.1/24")
	var what []string
	for _, one := range examine(f, all) {
		if one.Server != "s2" {
			t.Errorf("found on %s: %s", one.Server, one.What)
		}
		what = append(what, one.What)
	}
	for _, want := range []string{"it has the machine id of s1 (a cloned image?)", "it has the SSH host key of s1 (a cloned image?)", "networks would use 10.99.0.1 of eth0, which s1 has too"} {
		if !slices.Contains(what, want) {
			t.Errorf("%q is not found: %q", want, what)
		}
	}
}

// A cluster that the server remembers is another's, and nothing is left of it.
func TestOtherClustersAreNotLeftovers(t *testing.T) {
	f, all := healthy()
	all[0].says["clusters"] = "default/spec.json\nother/spec.json"
	all[0].says["devices"] = strings.Replace(all[0].says["devices"], "[", `[{"ifname":"vxl9","ifalias":"flock:other/vx9"},`, 1)
	all[0].Seen.Chains = append(all[0].Seen.Chains, spec.Chain{Family: 7, Table: "flock-other", Name: "forward"})
	if found := examine(f, all); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// Answers of any length and sort are judged without a panic.
func TestOddAnswers(t *testing.T) {
	for _, text := range []string{"", ":", "\x00", "[]", "[{}]", `[{"addr_info":[{"local":"x"}]}]`, "Docker version", "version 29", "/etc/systemd/system/flock-:", "a:b:c\n:", "maxstartups x"} {
		f, all := healthy()
		for _, p := range all {
			for name := range p.says {
				p.says[name] = text
			}
			p.Facts, p.Plan, p.Entry.Facts = &spec.Facts{}, nil, nil
		}
		all[1].Seen.Ran = nil
		_ = examine(f, all[:1])
	}
}

// Lines log in as flock itself does.
func TestLogin(t *testing.T) {
	f := &Facts{Logins: map[string]Login{
		"root":  {Args: []string{"-F", "my config", "-l", "root", "--", "10.99.0.1"}, Root: true},
		"other": {Args: []string{"-p", "2222", "-i", "k", "-J", "b", "--", "web"}},
	}}
	for _, c := range []struct {
		f    Finding
		want string
	}{
		{Finding{Server: "root"}, `ssh -F 'my config' -l root -- 10.99.0.1 'rm -f x'`},
		{Finding{Server: "other"}, `ssh -p 2222 -i k -J b -- web 'sudo -n sh -c '\''rm -f x'\'''`},
		{Finding{Server: "root", Then: "flock apply"}, `ssh -F 'my config' -l root -- 10.99.0.1 'rm -f x' && flock apply`},
		{Finding{Server: "root", Here: true}, "rm -f x"},
		{Finding{Server: local}, "sudo sh -c 'rm -f x'"},
		{Finding{}, "rm -f x"},
	} {
		c.f.Fix = "rm -f x"
		if have := c.f.Next(f); have != c.want {
			t.Errorf("want %s, have %s", c.want, have)
		}
	}
}

// What a server names stays a word in lines for the workstation's shell.
func TestNamesOfServersAreQuoted(t *testing.T) {
	f, all := healthy()
	f.Cluster.Servers["s2"].Facts.Interfaces[0].Addrs[0] = netip.MustParsePrefix("10.99.0.1/24")
	all[1].Facts.Interfaces = append(all[1].Facts.Interfaces, spec.Interface{Name: "a;reboot", Addrs: []netip.Prefix{netip.MustParsePrefix("10.98.0.1/24")}})
	all[1].says["agents"] = programs("0123456789abcdef", "a;reboot", "b;reboot")
	for _, one := range examine(f, all) {
		if line := one.Next(f); strings.Contains(line, ";reboot") && !strings.Contains(line, ";reboot'") {
			t.Errorf("a shell would run what a server named: %s", line)
		}
	}
}

// A finding of many servers is told once, and lines that differ in the server alone are few.
func TestPrintTogether(t *testing.T) {
	f, all := healthy()
	for _, p := range all {
		p.says["dnsmasq"] = ""
	}
	var b bytes.Buffer
	if err := Print(&b, 0, f, examine(f, all)); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "\ns1, s2: dnsmasq is not installed\n") || strings.Count(text, "  next: ssh -l root -- 10.99.0.") != 2 {
		t.Error(text)
	}
}

func TestBundleHasNoSecrets(t *testing.T) {
	f, all := healthy()
	const key = "iD7h5V5dodDd69MJTWvfDHth7Hnk+c7c7DxF3K6UvWo="
	all[0].says.put("/etc/sysctl.d/x.conf", "PrivateKey = "+key+"\nPresharedKey="+key+"\npassword: hunter2\n\"token\": \"hunter3\"\nhttp://me:hunter4@proxy:3128/\n")
	all[0].says["sshd"] = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter5\nhunter6\n-----END OPENSSH PRIVATE KEY-----\nmaxauthtries 6"
	machine := all[0].Server.Name + strings.Repeat("0f", 15)
	all[0].says["files"] = strings.Replace(all[0].says["files"], strings.Repeat("a", 32), machine, 1)
	all[0].Entry.Facts.Machine = machine
	found := examine(f, all)
	var packed bytes.Buffer
	b := Bundle{Facts: f, Findings: found, Version: "v1", File: "schema = 1\nmachine = \"" + machine + "\"\npassword-id = \"abc\"\nsecret = 'hunter7'\n", Time: time.Unix(1, 0), Absent: map[string]string{"s3": "no route to host"}}
	if err := b.Write(&packed); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(h.Name, "flock-doctor/"))
		if strings.Contains(string(data), key) || strings.Contains(string(data), "hunter") {
			t.Errorf("%s has a secret:\n%s", h.Name, data)
		}
		if strings.Contains(string(data), machine) {
			t.Errorf("%s has a machine id", h.Name)
		}
		if h.Name == "flock-doctor/facts.json" && !strings.Contains(string(data), "/etc/machine-id:machine-") {
			t.Errorf("which machine ids are equal cannot be seen: %s", data)
		}
		if strings.HasSuffix(h.Name, ".json") && !json.Valid(data) {
			t.Errorf("%s is no JSON", h.Name)
		}
		if h.Name == "flock-doctor/status.json" && !strings.Contains(string(data), "no answer: no route to host") {
			t.Errorf("status: %s", data)
		}
	}
	if want := []string{"cluster.toml", "facts.json", "findings.json", "plan.json", "status.json", "versions.json"}; !slices.Equal(names, want) {
		t.Errorf("want %q, have %q", want, names)
	}
}

//go:build linux

package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// forwarding is a spec that wants both families forwarded.
func forwarding() *spec.Host {
	return &spec.Host{Cluster: "t", Sysctls: []spec.Sysctl{{Key: sysctl.ForwardingIPv4, Value: "1"}, {Key: sysctl.ForwardingIPv6, Value: "1"}}}
}

// TestForwardingStaysForOthers: what came to rely on forwarding while flock had it on goes
// on to work when flock's last network goes, and the plan names it.
func TestForwardingStaysForOthers(t *testing.T) {
	const containers = "ip link add c1 type veth peer name c1p; ip link set c1 master %; ip link set c1 up; ip link set % up; "
	for _, c := range []struct{ name, do, four, six string }{
		{"nobody", "true", "", ""},
		{"an empty bridge", "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0", "", ""},
		{"docker", "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; " + strings.ReplaceAll(containers, "%", "docker0"), "docker0", ""},
		{"both families", "ip link add cni0 type bridge; ip addr add 10.88.0.1/16 dev cni0; ip addr add fd88::1/64 dev cni0 nodad; " + strings.ReplaceAll(containers, "%", "cni0"), "cni0", "cni0"},
		{"an uplink", "ip link add br0 type bridge; ip addr add 10.88.0.2/16 dev br0; " + strings.ReplaceAll(containers, "%", "br0") + "ip route add default via 10.88.0.1", "", ""},
		{"masquerade", "nft 'add table ip lxc; add chain ip lxc post { type nat hook postrouting priority 100; }; add rule ip lxc post ip saddr 10.0.3.0/24 masquerade'", "masquerade in lxc post", ""},
		{"iptables", "iptables-nft -t nat -A POSTROUTING -s 10.0.3.0/24 -j MASQUERADE", "masquerade in nat POSTROUTING", ""},
		{"iptables before nftables", "iptables-legacy -t nat -A POSTROUTING -s 10.0.3.0/24 -j MASQUERADE", "masquerade of iptables-legacy", ""},
		{"an accept", "nft 'add table ip6 r; add chain ip6 r f { type filter hook forward priority 0; policy drop; }; add rule ip6 r f iifname a accept'", "", "an accept in r f"},
		{"a firewall", "nft 'add table inet w; add chain inet w f { type filter hook forward priority 0; policy drop; }; add rule inet w f ct state established accept'", "", ""},
		{"an accept of flock's", "nft 'add table inet w; add chain inet w f { type filter hook forward priority 0; policy drop; }; add rule inet w f iifname vxl0 accept comment \"flock:u/vx1\"'", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			k := open(t, "t", t.TempDir())
			apply(t, k, forwarding())
			sh(t, c.do)
			letsGo(t, k, c.four, c.six)
		})
	}
}

// letGo expects the plan of no networks to say for whom forwarding stays, and that so it is.
func letsGo(t *testing.T, k *Kernel, four, six string) {
	t.Helper()
	line := func(key, on, off, kept string) string {
		if kept != "" {
			return "- sysctl " + key + ": stays " + on + " for " + kept + "\n"
		}
		return "- sysctl " + key + ": " + on + " -> " + off + "\n"
	}
	ra := ""
	if six != "" {
		ra = "IPv6 forwarding"
	}
	converge(t, k, &spec.Host{Cluster: "t"}, line(sysctl.ForwardingIPv4, "1", "0", four)+line(sysctl.ForwardingIPv6, "1", "0", six)+
		line("net/ipv6/conf/eth0/accept_ra", "2", "1", ra)+line("net/ipv6/conf/wire/accept_ra", "2", "1", ra))
	have := strings.Fields(sh(t, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/eth0/accept_ra"))
	value := func(kept, on, off string) string {
		if kept != "" {
			return on
		}
		return off
	}
	if want := []string{value(four, "1", "0"), value(six, "1", "0"), value(six, "2", "1")}; strings.Join(have, " ") != strings.Join(want, " ") {
		t.Errorf("settings: want %s, have %s", want, have)
	}
	if left, err := number(k.Remains(t.Context())); err != nil || left != 0 {
		t.Errorf("left = %d, %v", left, err)
	}
}

func TestForwardingStaysWhereFilesSetIt(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	etc, lib := filepath.Join(t.TempDir(), "sysctl.d"), t.TempDir()
	k.Paths.Sysctls = []string{etc, lib}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(lib, "50-router.conf"), "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\n")
	write(filepath.Join(etc, "50-router.conf"), "net.ipv4.ip_forward=1\n") // hides the other
	apply(t, k, forwarding())
	letsGo(t, k, filepath.Join(etc, "50-router.conf"), "")
	sh(t, "sysctl -qw net.ipv4.ip_forward=0")
	write(filepath.Join(filepath.Dir(etc), "sysctl.conf"), "net.ipv4.ip_forward=0\n") // comes last
	apply(t, k, forwarding())
	letsGo(t, k, "", "")
}

// A daemon counts in the network namespace that it is in.
func TestForwardingStaysForDaemons(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	dir := t.TempDir()
	sh(t, "cp $(command -v sleep) "+dir+"/dockerd")
	run := func(argv ...string) (stop func()) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sh(t, "end=$(($(date +%s) + 60)); while [ $(date +%s) -lt $end ]; do grep -q dockerd /proc/$(pgrep -P "+strconv.Itoa(os.Getpid())+" -x dockerd)/comm && exit; done; exit 1")
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	apply(t, k, forwarding())
	stop := run(dir+"/dockerd", "1000")
	defer stop()
	letsGo(t, k, "dockerd", "dockerd")
	stop()
	apply(t, k, forwarding())
	sh(t, "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.wire.accept_ra=1")
	apply(t, k, &spec.Host{Cluster: "t"})
	apply(t, k, forwarding())
	elsewhere := run("unshare", "--net", dir+"/dockerd", "1000")
	defer elsewhere()
	letsGo(t, k, "", "")
}

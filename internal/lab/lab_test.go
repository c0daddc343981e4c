package lab

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// up boots a lab of its own for t and checks, when t is over, that nothing of it
// is left on this machine.
func up(t *testing.T, n int, init string) *Lab {
	t.Helper()
	Need(t, "ip", "nsenter", "unshare", "ssh", "sshd", "busybox", "dnsmasq")
	dir := filepath.Join(t.TempDir(), "lab")
	before := traces(t, dir)
	start := time.Now()
	l, err := Up(t.Context(), Options{N: n, Init: init, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d servers with init %s and a laptop up after %v", n, init, time.Since(start).Round(time.Millisecond))
	if have, err := machineRegister().read(instances); err != nil || have == "128" || !exists(filepath.Join(machineRegister().dir, l.limitsUser())) {
		t.Errorf("%s is %s with a lab, %v", instances, have, err)
	}
	t.Cleanup(func() {
		start := time.Now()
		if _, err := DownDir(context.Background(), dir); err != nil {
			t.Error(err)
		}
		if exists(filepath.Join(machineRegister().dir, l.limitsUser())) {
			t.Error("a lab that is down needs limits")
		}
		t.Logf("down after %v", time.Since(start).Round(time.Millisecond))
		if want, have := before, traces(t, dir); !slices.Equal(want, have) {
			t.Errorf("traces on this machine: want %q, have %q", want, have)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("want no %s, have %v", dir, err)
		}
	})
	return l
}

// traces are what this machine shows of the lab in dir: namespaces, mounts,
// control groups, and processes that name it.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	prefix := prefixOf(dir) + "-"
	var found []string
	for _, pattern := range []string{"/run/netns/" + prefix + "*", "/sys/fs/cgroup/*/flock-lab-" + prefix + "*", "/sys/fs/cgroup/flock-lab-" + prefix + "*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			found = append(found, line)
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		text, err := os.ReadFile(file)
		if err == nil && (strings.Contains(string(text), dir) || strings.Contains(string(text), prefix)) {
			found = append(found, string(text))
		}
	}
	return found
}

// out runs cmd and returns its output without the last newline.
func out(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, text)
	}
	return strings.TrimSuffix(string(text), "\n")
}

func TestServers(t *testing.T) {
	for _, init := range []string{None, Systemd} {
		t.Run(init, func(t *testing.T) {
			t.Parallel()
			l := up(t, 2, init)
			t.Run("ssh", func(t *testing.T) { testSSH(t, l) })
			t.Run("own", func(t *testing.T) { testOwnRoot(t, l) })
			t.Run("underlay", func(t *testing.T) { testUnderlay(t, l) })
			t.Run("second", func(t *testing.T) { testSecondUp(t, l) })
			t.Run("containers", func(t *testing.T) { testContainers(t, l) })
			t.Run("power", func(t *testing.T) { testPower(t, l) })
			t.Run("cable", func(t *testing.T) { testCable(t, l) })
		})
	}
}

func testSSH(t *testing.T, l *Lab) {
	ctx := t.Context()
	for _, host := range []string{"s1", "s2", "root@10.99.0.2", "root@10.98.0.1", "admin@s1"} {
		want := "s1"
		if strings.Contains(host, "2") {
			want = "s2"
		}
		if have := out(t, l.SSH(ctx, host, "hostname")); have != want {
			t.Errorf("hostname of %s: want %q, have %q", host, want, have)
		}
	}
	if want, have := "0", out(t, l.SSH(ctx, "admin@s2", "sudo", "-n", "id", "-u")); want != have {
		t.Errorf("admin's sudo: want user %q, have %q", want, have)
	}
	if err := l.SSH(ctx, "nosudo@s2", "sudo", "-n", "id", "-u").Run(); err == nil {
		t.Error("want nosudo refused by sudo, have it allowed")
	}
	if want, have := "s1", out(t, l.Command(ctx, Laptop, "ssh", "-F", l.SSHConfig(), "s1", "hostname")); want != have {
		t.Errorf("from the laptop: want %q, have %q", want, have)
	}
}

// testOwnRoot checks that a server has nothing of this machine's own, and that
// what it writes stays with it.
func testOwnRoot(t *testing.T, l *Lab) {
	ctx := t.Context()
	name := "/usr/local/lib/" + l.Prefix
	out(t, l.Command(ctx, "s1", "sh", "-c", "echo mine >"+name))
	if exists(name) {
		t.Errorf("want %s on the server alone, have it on this machine", name)
	}
	if err := l.Command(ctx, "s2", "cat", name).Run(); err == nil {
		t.Errorf("want %s on s1 alone, have it on s2", name)
	}
	if want, have := ".ssh", out(t, l.Command(ctx, "s1", "ls", "-A", "/root")); want != have {
		t.Errorf("/root: want %q, have %q", want, have)
	}
	if l.Init != Systemd {
		return
	}
	// Running is reached a moment after sshd.
	err := poll(ctx, 50*time.Millisecond, func() (bool, error) {
		text, _ := l.Command(ctx, "s1", "systemctl", "is-system-running").Output()
		state := strings.TrimSpace(string(text))
		return state == "running" || state == "degraded", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if failed := out(t, l.Command(ctx, "s1", "systemctl", "list-units", "--failed", "--plain", "--no-legend")); failed != "" {
		t.Errorf("failed units: want none, have %s", failed)
	}
	// Each systemd must have its services to itself: the same unit name on two
	// servers is two services.
	for _, host := range []string{"s1", "s2"} {
		out(t, l.Command(ctx, host, "systemd-run", "-q", "--unit=same", "sleep", "1000"))
	}
	out(t, l.Command(ctx, "s1", "systemctl", "stop", "same"))
	if want, have := "active", out(t, l.Command(ctx, "s2", "systemctl", "is-active", "same")); want != have {
		t.Errorf("s2's service after s1 stopped its own: want %q, have %q", want, have)
	}
}

func testUnderlay(t *testing.T, l *Lab) {
	for _, target := range []string{"10.99.0.2", "fd99::2", "10.98.0.2", outside4.String(), outside6.String()} {
		out(t, l.Command(t.Context(), "s1", "ping", "-c1", "-W2", target))
	}
}

func testSecondUp(t *testing.T, l *Lab) {
	if _, err := Up(t.Context(), Options{N: 1, Init: l.Init, Dir: l.Dir}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("up over a lab: want an error that says so, have %v", err)
	}
	if want, have := "s1", out(t, l.Command(t.Context(), "s1", "hostname")); want != have {
		t.Errorf("after the refused up: want %q, have %q", want, have)
	}
}

// testContainers plugs containers into a bridge that s1 masquerades and serves
// by hand.
func testContainers(t *testing.T, l *Lab) {
	ctx := t.Context()
	out(t, l.Command(ctx, "s1", "sh", "-ec", `
		ip link add br9 type bridge; ip link set br9 mtu 1450 up; ip addr add 10.0.9.1/24 dev br9
		sysctl -qw net.ipv4.ip_forward=1
		nft add table ip t; nft add chain ip t c '{ type nat hook postrouting priority 100; }'
		nft add rule ip t c ip saddr 10.0.9.0/24 ip daddr != 10.0.9.0/24 masquerade`))
	dns := l.Command(ctx, "s1", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--interface=br9", "--bind-interfaces", "--no-ping",
		"--dhcp-range=10.0.9.100,10.0.9.110", "--dhcp-option=26,1450", "--domain=vxapp", "--local=/vxapp/", "--pid-file=", "--dhcp-leasefile=/run/leases", "--user=root")
	if err := dns.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Process.Kill(); dns.Wait() })
	c1, err := l.Container(ctx, "s1", "c1", "br9", "dhcp")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("c1 has %v after %d ms, asked for %d times", c1.Addresses, c1.LeaseMS, c1.Discovers)
	if c1.Discovers == 0 {
		t.Error("c1 has a lease that it did not ask for")
	}
	if want, have := netip.MustParsePrefix("10.0.9.0/24"), c1.Addresses[0].Masked(); want != have {
		t.Errorf("c1's subnet: want %s, have %s", want, have)
	}
	c2, err := l.Container(ctx, "s1", "c2", "br9", "10.0.9.9/24,fd09::9/64")
	if err != nil {
		t.Fatal(err)
	}
	if want, have := netip.MustParsePrefix("fd09::9/64"), c2.Addresses[1]; want != have {
		t.Errorf("c2's address: want %s, have %s", want, have)
	}
	if want, have := "1450", out(t, l.Command(ctx, "c1", "cat", "/sys/class/net/eth0/mtu")); want != have {
		t.Errorf("c1's MTU: want %s, have %s", want, have)
	}
	out(t, l.Command(ctx, "c2", "ping", "-c1", "-W2", c1.Addresses[0].Addr().String()))
	out(t, l.Command(ctx, "c1", "ping", "-c1", "-W2", outside4.String()))
	out(t, l.Command(ctx, "c1", "ping", "-c1", "-W2", "c1.vxapp"))
	out(t, l.Command(ctx, "c1", "ping", "-4", "-c1", "-W2", outsideName))
	if _, err := l.Container(ctx, "s1", "c1", "br9", "none"); err == nil {
		t.Error("want a taken name refused, have it made")
	}
	if _, err := l.Container(ctx, "s1", "c3", "br8", "none"); err == nil || exists(nsFile(l.ns("c3"))) {
		t.Errorf("want a missing bridge refused and nothing made, have %v", err)
	}
	out(t, l.Command(ctx, "s1", "nft", "delete", "table", "ip", "t"))
	// conntrack keeps no entry for a ping id never seen, so this one is unmasqueraded.
	if err := l.Command(ctx, "c1", "ping", "-c1", "-W1", outside4.String()).Run(); err == nil {
		t.Error("outside without masquerade: want no answer, have one")
	}
	if err := l.RemoveContainer(ctx, "c2"); err != nil {
		t.Fatal(err)
	}
	if want, have := "", out(t, l.Net(ctx, "s1", "sh", "-c", "ip -o link show vc2 2>/dev/null || true")); want != have {
		t.Errorf("the port of a removed container: want %q, have %q", want, have)
	}
}

func testPower(t *testing.T, l *Lab) {
	ctx := t.Context()
	out(t, l.Command(ctx, "s1", "sh", "-c", "echo kept >/etc/kept; ip link add br7 type bridge"))
	start := time.Now()
	if err := l.Off(ctx, "s1"); err != nil {
		t.Fatal(err)
	}
	off := time.Since(start)
	if err := l.Command(ctx, "s1", "true").Run(); !errors.Is(err, errOff) {
		t.Errorf("enter a machine that is off: want %v, have %v", errOff, err)
	}
	start = time.Now()
	if err := l.On(ctx, "s1"); err != nil {
		t.Fatal(err)
	}
	t.Logf("off %v, on %v", off.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if want, have := "kept", out(t, l.SSH(ctx, "s1", "cat", "/etc/kept")); want != have {
		t.Errorf("the disk after a power cut: want %q, have %q", want, have)
	}
	if err := l.Command(ctx, "s1", "ip", "link", "show", "br7").Run(); err == nil {
		t.Error("an interface after a power cut: want none, have br7")
	}
}

func testCable(t *testing.T, l *Lab) {
	ctx := t.Context()
	if err := l.Cut(ctx, "s2"); err != nil {
		t.Fatal(err)
	}
	if err := l.Command(ctx, "s1", "ping", "-c1", "-W1", "10.99.0.2").Run(); err == nil {
		t.Error("a cut cable: want no answer, have one")
	}
	if err := l.Join(ctx, "s2"); err != nil {
		t.Fatal(err)
	}
	out(t, l.Command(ctx, "s1", "ping", "-c3", "-W2", "10.99.0.2"))
}

// TestCrash takes a lab down whose description is lost.
func TestCrash(t *testing.T) {
	t.Parallel()
	l := up(t, 1, None)
	if err := os.Remove(l.path(metaFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(l.path("pid")); err != nil {
		t.Fatal(err)
	}
}

// TestBound: a lab goes with its process, at once or by who comes next, be it that
// they had no lab of their own to take down.
func TestBound(t *testing.T) {
	Need(t, "ip", "nsenter", "unshare", "ssh", "sshd", "busybox", "dnsmasq")
	for _, killed := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "lab")
		before := traces(t, dir)
		l, err := Up(t.Context(), Options{N: 1, Init: None, Dir: dir, Bound: true})
		if err != nil {
			t.Fatal(err)
		}
		end := Release
		if _, err := Sweep(t.Context()); err != nil || !exists(l.path(metaFile)) {
			t.Errorf("swept while its process runs, %v", err)
		}
		if killed {
			l.Owner.Start-- // who started before us under our number is gone
			if err := l.save(); err != nil {
				t.Fatal(err)
			}
			end = func(ctx context.Context) error {
				swept, err := DownDir(ctx, dir+"-none")
				if !slices.Contains(swept, dir) {
					t.Errorf("want %s swept, have %v", dir, swept)
				}
				return err
			}
		}
		if err := end(t.Context()); err != nil {
			t.Error(err)
		}
		if have := traces(t, dir); !slices.Equal(before, have) || exists(dir) {
			t.Errorf("left behind: %q", have)
		}
	}
}

// TestCancelled gives up while booting; up's cleanup is not there to help.
func TestCancelled(t *testing.T) {
	t.Parallel()
	Need(t, "ip", "nsenter", "unshare", "sshd")
	dir := filepath.Join(t.TempDir(), "lab")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Up(ctx, Options{N: 2, Init: None, Dir: dir, Log: func(line string) {
		if strings.HasPrefix(line, "booting") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, have %v", context.Canceled, err)
	}
	if left := traces(t, dir); len(left) > 0 || exists(dir) {
		t.Errorf("want nothing left, have %q", left)
	}
}

// TestAttached attaches a lab to the network of "this machine", which is a fresh
// namespace: the test runs itself again in one, with another's /sys.
func TestAttached(t *testing.T) {
	t.Parallel()
	Need(t, "ip", "nsenter", "unshare", "sshd")
	dir := os.Getenv("FLOCK_TEST_ATTACHED")
	if dir == "" {
		cmd := exec.Command("unshare", "--net", "sh", "-ec", `ip link set lo up; exec "$@"`, "sh",
			os.Args[0], "-test.run=^TestAttached$", "-test.v")
		cmd.Env = append(os.Environ(), "FLOCK_TEST_ATTACHED="+filepath.Join(t.TempDir(), "lab"))
		t.Log(out(t, cmd))
		return
	}
	o := Options{N: 1, Init: None, Dir: dir, Attach: true}
	run := func(argv ...string) string { return out(t, exec.Command(argv[0], argv[1:]...)) }
	run("ip", "link", "add", "taken", "type", "bridge")
	run("ip", "addr", "add", "10.99.0.77/16", "dev", "taken")
	run("ip", "link", "set", "taken", "up")
	if _, err := Up(t.Context(), o); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("attach to a machine that uses the subnet: want an error that says so, have %v", err)
	}
	run("ip", "link", "del", "taken")
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want, have := "s1", run("ssh", "-F", l.SSHConfig(), "root@10.99.0.1", "hostname"); want != have {
		t.Errorf("want %q, have %q", want, have)
	}
	other := Options{N: 1, Init: None, Dir: dir + "2", Attach: true}
	if _, err := Up(t.Context(), other); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("attach a second lab: want an error that names the first's directory, have %v", err)
	}
	if _, err := DownDir(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if links := run("ip", "-br", "link"); strings.Contains(links, attached) {
		t.Errorf("after down: want no %s, have %s", attached, links)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no servers": {N: 0}, "too many": {N: maxServers + 1}, "unknown init": {N: 1, Init: "runit"},
		"comma in directory": {N: 1, Dir: "/tmp/a,b"}, "long prefix": {N: 1, Prefix: "elevenbytes"},
	} {
		if _, err := newLab(o); err == nil {
			t.Errorf("%s: want an error, have none", name)
		}
	}
	if want, have := "fd99::10", (machine{"s10", 10}).addr6().String(); want != have {
		t.Errorf("address of server 10: want %s, have %s", want, have)
	}
}

func BenchmarkUp(b *testing.B) {
	Need(b, "ip", "nsenter", "unshare", "sshd")
	for _, size := range []struct {
		name string
		n    int
	}{{"3", 3}, {"10", 10}, {"50", 50}} {
		b.Run(size.name, func(b *testing.B) {
			for b.Loop() {
				l, err := Up(b.Context(), Options{N: size.n, Init: None, Dir: filepath.Join(b.TempDir(), "lab")})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := l.Down(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

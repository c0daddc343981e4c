package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// A Container is a network namespace with its own resolver files and an eth0
// whose other end is a port of a server's bridge.
type Container struct {
	Name      string         `json:"name"`
	Host      string         `json:"host"`
	Bridge    string         `json:"bridge"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// LeaseMS is the milliseconds from starting the DHCP client until the
	// address was set; 0 without DHCP.
	LeaseMS int64 `json:"lease_ms,omitempty"`
	// Discovers is how often the client asked for an address until it had one.
	Discovers int `json:"-"`
}

// Container attaches a new container to a bridge of host. addr is "dhcp" (a busybox
// udhcpc with the container's host name, which keeps running to renew), "none", or
// addresses with prefix lengths separated by commas, the first address of each subnet
// being its gateway. IPv6 autoconfiguration works in all of them.
func (l *Lab) Container(ctx context.Context, host, name, bridge, addr string) (*Container, error) {
	m, err := l.mustMachine(host)
	if err != nil {
		return nil, err
	}
	c := &Container{Name: name, Host: host, Bridge: bridge}
	if addr != "dhcp" && addr != "none" {
		if c.Addresses, err = parseAddresses(addr); err != nil {
			return nil, err
		}
	}
	switch {
	case !regexp.MustCompile(`^[a-z][a-z0-9-]{0,13}$`).MatchString(name):
		return nil, hint.Errorf("", "flock lab container "+host+" c1 "+bridge, "name a container %q: a letter, then up to 13 letters, digits and dashes", name)
	case exists(nsFile(l.ns(name))) || exists(l.containerDir(name)):
		return nil, hint.Errorf("lab "+l.Dir, "flock lab list", "make container %s: the name is taken", name)
	}
	mtu, err := l.bridgeMTU(ctx, m, bridge)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainer(ctx, c, addr, mtu); err != nil {
		return nil, errors.Join(err, l.RemoveContainer(cleanup(ctx), name))
	}
	return c, nil
}

func (l *Lab) makeContainer(ctx context.Context, c *Container, addr string, mtu int) error {
	if err := l.writeContainerFiles(c); err != nil {
		return err
	}
	if err := l.saveContainer(c); err != nil {
		return err
	}
	if err := l.plug(ctx, c, addr, mtu); err != nil {
		return err
	}
	if addr != "dhcp" {
		return nil
	}
	if err := l.lease(ctx, c); err != nil {
		return err
	}
	return l.saveContainer(c)
}

func parseAddresses(list string) ([]netip.Prefix, error) {
	var ps []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, hint.Errorf("", "give dhcp, none or ADDRESS/LENGTH", "read container address %q: %w", text, err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func (l *Lab) bridgeMTU(ctx context.Context, m machine, bridge string) (int, error) {
	text, err := output(ctx, "", "ip", "-n", l.ns(m.name), "-j", "link", "show", "dev", bridge, "type", "bridge")
	if err != nil {
		return 0, hint.With(fmt.Errorf("find bridge %s: %w", bridge, err), m.name, "flock lab ssh "+m.name+" ip link show type bridge")
	}
	var links []struct{ MTU int }
	if err := json.Unmarshal(text, &links); err != nil {
		return 0, fmt.Errorf("read bridge %s on %s: %w", bridge, m.name, err)
	}
	for _, link := range links {
		if link.MTU > 0 {
			return link.MTU, nil
		}
	}
	return 0, hint.Errorf(m.name, "flock lab ssh "+m.name+" ip link show type bridge", "plug into %s: it is not a bridge", bridge)
}

// plug makes the namespace and its veth pair. As with LXC and Docker, both ends get the
// bridge's MTU; with DHCP the container's end starts at 1500, so that the server has to
// set it.
func (l *Lab) plug(ctx context.Context, c *Container, addr string, mtu int) error {
	ns, host := l.ns(c.Name), l.ns(c.Host)
	h := fnv.New32a()
	h.Write([]byte(c.Name))
	sum := h.Sum32()
	inside := mtu
	if addr == "dhcp" {
		inside = 1500
	}
	err := ipBatch(ctx, "",
		"netns add "+ns,
		fmt.Sprintf("link add eth0 netns %s mtu %d address 02:63:%02x:%02x:%02x:%02x type veth peer name %s netns %s mtu %d",
			ns, inside, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum), Port(c.Name), host, mtu))
	if err != nil {
		return err
	}
	if err := ipBatch(ctx, host, fmt.Sprintf("link set %s master %s up", Port(c.Name), c.Bridge)); err != nil {
		return err
	}
	lines := []string{"link set lo up", "link set eth0 up"}
	for _, p := range c.Addresses {
		lines = append(lines, fmt.Sprintf("addr add %s dev eth0%s", p, nodad(p)))
		if gw := p.Masked().Addr().Next(); gw != p.Addr() {
			lines = append(lines, fmt.Sprintf("route add default via %s", gw))
		}
	}
	return ipBatch(ctx, ns, lines...)
}

func nodad(p netip.Prefix) string {
	if p.Addr().Is6() {
		return " nodad"
	}
	return ""
}

// udhcpcScript sets what the lease says and then writes the lease file, which lease
// waits for. /etc/resolv.conf is the container's own there.
const udhcpcScript = `#!/bin/sh
case "$1" in
deconfig) ip -4 addr flush dev "$interface" ;;
bound|renew)
	ip addr replace "$ip/$mask" dev "$interface"
	[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
	for r in $router; do ip route replace default via "$r" dev "$interface"; break; done
	: >/etc/resolv.conf
	[ -z "${search:-$domain}" ] || echo "search ${search:-$domain}" >>/etc/resolv.conf
	for d in $dns; do echo "nameserver $d" >>/etc/resolv.conf; done
	echo "$ip/$mask" >"$LEASE.new" && mv "$LEASE.new" "$LEASE" ;;
esac
`

func (l *Lab) writeContainerFiles(c *Container) error {
	dir := l.containerDir(c.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make container %s: %w", c.Name, err)
	}
	for name, text := range map[string]string{
		"resolv.conf": "", "nsswitch.conf": nsswitch, "udhcpc.sh": udhcpcScript,
		"hosts": fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n", c.Name), "hostname": c.Name + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return fmt.Errorf("make container %s: %w", c.Name, err)
		}
	}
	return nil
}

func (l *Lab) enterContainer(name string) []string {
	dir := l.containerDir(name)
	script := "hostname " + name + "\n" +
		"for f in resolv.conf nsswitch.conf hosts hostname; do mount --bind " + dir + "/$f /etc/$f; done\n" +
		"mount -t sysfs sysfs /sys\n" + `exec "$@"`
	return []string{"nsenter", "--net=" + nsFile(l.ns(name)), "unshare", "--mount", "--uts", "sh", "-ec", script, "sh"}
}

// lease runs the DHCP client and waits for its first lease.
func (l *Lab) lease(ctx context.Context, c *Container) error {
	dir := l.containerDir(c.Name)
	file, log := filepath.Join(dir, "lease"), filepath.Join(dir, "udhcpc.log")
	argv := append(l.enterContainer(c.Name), "busybox", "udhcpc", "-f", "-R", "-n", "-t", "8", "-T", "1", "-i", "eth0",
		"-O", "mtu", "-O", "search", "-x", "hostname:"+c.Name, "-s", filepath.Join(dir, "udhcpc.sh"))
	begin := time.Now()
	p, err := l.start("dhcp-"+c.Name, []string{searchPath, "LEASE=" + file}, log, argv...)
	if err != nil {
		return err
	}
	err = poll(ctx, 2*time.Millisecond, func() (bool, error) {
		if exists(file) {
			return true, nil
		}
		if !p.alive() {
			text, err := os.ReadFile(log)
			return false, errors.Join(fmt.Errorf("no lease: %s", strings.Join(strings.Fields(string(text)), " ")), err)
		}
		return false, nil
	})
	if err != nil {
		return hint.With(fmt.Errorf("get an address for container %s: %w", c.Name, err), c.Host,
			"flock status; where addresses come by router advertisement, IPv6 alone: flock lab container "+c.Host+" "+c.Name+" "+c.Bridge+" none")
	}
	c.LeaseMS = max(1, time.Since(begin).Milliseconds())
	said, err := os.ReadFile(log)
	if err != nil {
		return fmt.Errorf("read what the DHCP client of %s said: %w", c.Name, err)
	}
	c.Discovers = strings.Count(string(said), " discover")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the lease of %s: %w", c.Name, err)
	}
	c.Addresses, err = parseAddresses(strings.TrimSpace(string(text)))
	return err
}

func (l *Lab) saveContainer(c *Container) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("record container %s: %w", c.Name, err)
	}
	return os.WriteFile(filepath.Join(l.containerDir(c.Name), "container.json"), text, 0o600)
}

// containers reads the records of all containers, by name.
func (l *Lab) containers() ([]Container, error) {
	files, err := filepath.Glob(l.path("container", "*", "container.json"))
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var cs []Container
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list containers: %w", err)
		}
		var c Container
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// RemoveContainer stops a container, releases its lease if its server still answers, and
// removes everything of it.
func (l *Lab) RemoveContainer(ctx context.Context, name string) error {
	if l.machine(name).name != "" || !exists(l.containerDir(name)) {
		return hint.Errorf("lab "+l.Dir, "flock lab list", "remove container %s: there is none", name)
	}
	if p, err := l.recorded("dhcp-" + name); err == nil && p.alive() {
		if err := l.release(ctx, p); err != nil {
			return err
		}
	}
	if err := l.kill(ctx, []string{"dhcp-" + name}, []string{l.ns(name)}); err != nil {
		return fmt.Errorf("remove container %s: %w", name, err)
	}
	if err := deleteLinks(ctx, l.ns(name), "eth0"); err != nil {
		return err
	}
	if err := deleteNS(ctx, l.ns(name)); err != nil {
		return err
	}
	if err := os.RemoveAll(l.containerDir(name)); err != nil {
		return fmt.Errorf("remove container %s: %w", name, err)
	}
	return nil
}

// release has the DHCP client release its lease, within a short time.
func (l *Lab) release(ctx context.Context, p proc) error {
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", p.pid, err)
	}
	brief, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	err := poll(brief, 5*time.Millisecond, func() (bool, error) { return !p.alive(), nil })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // kill ends it
	}
	return err
}

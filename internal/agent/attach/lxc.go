//go:build linux

package attach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// LXC makes the interfaces of a container by its configuration, before the container's
// first process runs. So that is where they are kept: they come with lxc-start, at boot and
// without any process of flock, and a DHCP client finds the bridge that it is to ask on.

var lxc = sort{
	kind: spec.LXC, names: lxcNames, open: lxcSpace, there: func(name string) bool { return sysfile.Exists(lxcConfig(name)) },
	comes: func(name string) bool {
		state, err := lxcAsk(filepath.Join(lxcPath(), name), lxcGetState)
		return err == nil && state == lxcStarting
	},
	keeper: &keeper{dir: lxcDir, kept: lxcKept, holds: lxcHolds, hold: lxcHold, drop: lxcDrop, former: lxcFormer, clash: lxcClash, elsewhere: lxcElsewhere},
}

// lxcPath is where LXC has its containers (lxc.system.conf(5)).
func lxcPath() string {
	text, _ := sysfile.ReadIfThere("/etc/lxc/lxc.conf") // LXC does without it, too
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(line, "="); strings.TrimSpace(key) == "lxc.lxcpath" {
			return strings.TrimSpace(value)
		}
	}
	return "/var/lib/lxc"
}

func lxcConfig(name string) string { return filepath.Join(lxcPath(), name, "config") }

func lxcNames() ([]string, error) {
	list, err := sysfile.Names(lxcPath())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range list {
		if sysfile.Exists(lxcConfig(name)) {
			out = append(out, name)
		}
	}
	return out, nil
}

// lxcSpace opens the namespace of the container's first process. While LXC starts it nobody
// may make an interface there: it makes its own, and fails where the name is taken.
func lxcSpace(name string) (int, error) {
	dir := filepath.Join(lxcPath(), name)
	state, err := lxcAsk(dir, lxcGetState)
	if err == nil && state == lxcStarting {
		err = fs.ErrNotExist
	}
	if err != nil {
		return -1, err
	}
	pid, err := lxcAsk(dir, lxcGetInitPID)
	if err == nil && pid <= 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return -1, err
	}
	return openProcess(pid)
}

// Commands of LXC's own (commands.h, lxc_cmd_t), which lxc-info uses, and a state (state.h).
// Their numbers are the same in all versions.
const (
	lxcGetState   = 3
	lxcGetInitPID = 4
	lxcStarting   = 1
)

// lxcAsk asks the process that LXC has for a container for a number.
func lxcAsk(dir string, command uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + dir + "/command"}); err != nil {
		return 0, fs.ErrNotExist // nobody listens: it does not run
	}
	patience := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return 0, err
	}
	// struct lxc_cmd_req: int command, int length, a pointer; struct lxc_cmd_rsp: int
	// error, int length, a pointer, which is the number here.
	question, answer := make([]byte, 16), make([]byte, 16)
	binary.NativeEndian.PutUint32(question, command)
	if _, err := unix.Write(fd, question); err != nil {
		return 0, fs.ErrNotExist // it ends at this moment
	}
	n, err := sysfile.Again(func() (int, error) { return unix.Read(fd, answer) })
	if err != nil {
		return 0, fmt.Errorf("ask LXC about %s: %w", filepath.Base(dir), err)
	}
	if n < len(answer) {
		return 0, fs.ErrNotExist // it ends at this moment
	}
	return int(binary.NativeEndian.Uint64(answer[8:])), nil //nolint:gosec // a process's number, or a state
}

// openProcess opens the network namespace of a process. The error is fs.ErrNotExist where it
// is gone.
func openProcess(pid int) (int, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "ns/net")
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ESRCH) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return -1, err
	}
	its, _ := os.Readlink(path)
	if own, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || its == own {
		return -1, errors.Join(fs.ErrNotExist, unix.Close(fd)) // it has no network of its own
	}
	return fd, nil
}

// lxcDir is where the configuration of a container, KIND/NAME, is.
func lxcDir(container string) string {
	_, name, _ := strings.Cut(container, "/")
	return filepath.Dir(lxcConfig(name))
}

// lxcRead reads the configuration of a container, KIND/NAME. There need be none.
func lxcRead(container string) (path, text string, err error) {
	_, name, _ := strings.Cut(container, "/")
	path = lxcConfig(name)
	text, err = sysfile.ReadIfThere(path)
	return path, text, err
}

// lxcWrite replaces it, with the rights that it has.
func lxcWrite(path, before, text string) error {
	if before == text {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return sysfile.Write(path, text, info.Mode().Perm(), true)
}

func lxcKept(cluster string) ([]keptOne, error) {
	names, err := lxcNames()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []keptOne
	for _, name := range names {
		_, text, err := lxcRead(spec.LXC + "/" + name)
		if err != nil {
			return nil, err
		}
		c := parseLXC(text)
		for _, b := range c.blocks {
			if mark, ours := strings.CutPrefix(b.mark, spec.Alias(cluster, "")); ours {
				a, more := readMark(mark)
				a.Container = spec.LXC + "/" + name // of a copy, the mark says another
				a.Moved = c.nets[b.n] != nil
				out = append(out, keptOne{a: a, given: more.given})
			}
		}
	}
	return out, err
}

func lxcHolds(cluster string, a spec.Attachment) (bool, error) {
	_, text, err := lxcRead(a.Container)
	return text == "" || parseLXC(text).with(cluster, a) == text, err
}

func lxcHold(cluster string, a spec.Attachment) error {
	path, text, err := lxcRead(a.Container)
	if err != nil || text == "" {
		return err
	}
	return lxcWrite(path, text, parseLXC(text).with(cluster, a))
}

func lxcDrop(cluster string, a spec.Attachment) error {
	path, text, err := lxcRead(a.Container)
	c := parseLXC(text)
	b := c.block(cluster, a)
	if err != nil || b == nil {
		return err
	}
	return lxcWrite(path, text, c.without(b))
}

// lxcFormer is what the container's own lines say of an interface.
func lxcFormer(a spec.Attachment) (former, error) {
	_, text, err := lxcRead(a.Container)
	c := parseLXC(text)
	keys := c.nets[c.own(a.Interface)]
	was := former{bridge: keys["link"], mac: keys["hwaddr"]}
	for _, family := range []string{"ipv4", "ipv6"} {
		if p, err := netip.ParsePrefix(keys[family+".address"]); err == nil {
			was.addrs = append(was.addrs, p)
		}
		if gw, err := netip.ParseAddr(keys[family+".gateway"]); err == nil {
			was.gateways = append(was.gateways, gw)
		}
	}
	return was, err
}

// lxcClash says what the configuration has against an interface; "" if nothing.
func lxcClash(a spec.Attachment) (string, error) {
	_, text, err := lxcRead(a.Container)
	c := parseLXC(text)
	n := c.own(a.Interface)
	switch kind := c.nets[n]["type"]; {
	case err != nil || n < 0:
		return "", err
	case !a.Moved:
		return foreignInterface(a), nil
	case kind != veth:
		return a.Container + "'s " + a.Interface + " is a " + kind + ", only a veth can be moved to another bridge", nil
	}
	return "", nil
}

func lxcElsewhere(container, iface string) bool {
	_, text, err := lxcRead(container)
	return err == nil && parseLXC(text).elsewhere(iface)
}

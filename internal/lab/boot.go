package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// errOff says that a machine has no running init.
var errOff = errors.New("it is off")

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// launch starts m in its own mount namespace: its overlay vanishes with it, and this
// machine's mount table never shows it.
func (l *Lab) launch(ctx context.Context, m machine) (proc, error) {
	dir := l.machineDir(m.name)
	script := l.bootNone(m)
	argv := []string{
		"nsenter", "--net=" + nsFile(l.ns(m.name)),
		"unshare", "--mount", "--propagation", "slave", "--uts", "--pid", "--fork", "--kill-child",
	}
	env := []string{searchPath}
	if l.Init == Systemd {
		script = l.bootSystemd(m)
		argv = []string{"unshare", "--mount", "--propagation", "slave"}
		// Otherwise nspawn mounts /proc/sys/net read-only.
		env = append(env, "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network")
	}
	if err := os.WriteFile(filepath.Join(dir, "boot.sh"), []byte(script), 0o600); err != nil {
		return proc{}, fmt.Errorf("boot %s: %w", m.name, err)
	}
	if err := ctx.Err(); err != nil {
		return proc{}, err
	}
	argv = append(argv, "sh", filepath.Join(dir, "boot.sh"))
	return l.start(m.name, env, filepath.Join(dir, "log"), argv...)
}

// shared are the directories of this machine that m sees: the laptop needs the lab's own
// for its keys.
func (l *Lab) shared(m machine) []string {
	if m.name != Laptop {
		return nil
	}
	return append(slices.Clone(l.Share), l.Dir)
}

func (l *Lab) overlayMount(dir string) string {
	return fmt.Sprintf("mount -t overlay -o lowerdir=%s,upperdir=%s/upper,workdir=%s/work overlay %s/root\n", l.lower(), dir, dir, dir)
}

func (l *Lab) bootSystemd(m machine) string {
	dir := l.machineDir(m.name)
	var b strings.Builder
	b.WriteString("set -e\n")
	keep := ""
	if !exists("/run/systemd/system") {
		// No service manager here makes scopes. Without its own cgroup each systemd
		// would take the services of another one for its own, and stop them.
		keep = "--keep-unit"
		for _, g := range l.cgroups(m) {
			fmt.Fprintf(&b, "mkdir -p %s\necho $$ >%s/cgroup.procs\n", g, g)
		}
	}
	b.WriteString(l.overlayMount(dir))
	// Files that nspawn would leave there are the lab's to remove.
	b.WriteString("mkdir -p /run/systemd/nspawn\nmount -t tmpfs tmpfs /run/systemd/nspawn\n")
	fmt.Fprintf(&b, "exec systemd-nspawn -D %s/root --boot --quiet --register=no %s --capability=all --timezone=off --resolv-conf=off "+
		"--link-journal=no --network-namespace-path=%s --machine=%s --hostname=%s", dir, keep, nsFile(l.ns(m.name)), l.ns(m.name), m.name)
	b.WriteString(l.nspawnMore())
	for _, path := range l.shared(m) {
		fmt.Fprintf(&b, " --bind=%s", path)
	}
	b.WriteString("\n")
	return b.String()
}

func (l *Lab) bootNone(m machine) string {
	dir := l.machineDir(m.name)
	var b strings.Builder
	b.WriteString("set -e\n")
	b.WriteString(l.overlayMount(dir))
	fmt.Fprintf(&b, "cd %s/root\n", dir)
	b.WriteString("mount -t proc proc proc\nmount -t sysfs sysfs sys\nmount --rbind /dev dev\n" +
		"mount -t tmpfs -o mode=0755 tmpfs run\nmount -t tmpfs -o mode=1777 tmpfs tmp\nmkdir -p run/sshd run/lock\n")
	for _, path := range l.shared(m) {
		fmt.Fprintf(&b, "mkdir -p .%s\nmount --bind %s .%s\n", path, path, path)
	}
	fmt.Fprintf(&b, "echo %s >/proc/sys/kernel/hostname\n", m.name)
	b.WriteString("pivot_root . mnt\numount -l /mnt\nexec /usr/sbin/sshd -D -e\n")
	return b.String()
}

// cgroups are the groups a machine's systemd gets, one per hierarchy it uses:
// version 2, and beside version 1 the one named systemd.
func (l *Lab) cgroups(m machine) []string {
	var groups []string
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if top == "/sys/fs/cgroup" && !exists(top+"/cgroup.controllers") {
			continue // version 1: a tmpfs
		}
		if exists(top + "/cgroup.procs") {
			groups = append(groups, top+"/flock-lab-"+l.ns(m.name))
		}
	}
	return groups
}

// removeCgroups removes m's groups, and waits until the kernel has.
func (l *Lab) removeCgroups(ctx context.Context, m machine) error {
	for _, g := range l.cgroups(m) {
		err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
			var dirs []string
			err := filepath.WalkDir(g, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil // a group that vanished meanwhile
			})
			slices.Reverse(dirs) // children first
			for _, d := range dirs {
				err = errors.Join(err, os.Remove(d))
			}
			return err == nil, nil
		})
		if err != nil {
			return fmt.Errorf("remove control group %s: %w", g, err)
		}
	}
	return nil
}

// inner is the process that is number 1 inside host, or errOff.
func (l *Lab) inner(host string) (int, error) {
	p, err := l.recorded(host)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errOff
	}
	if err != nil {
		return 0, err
	}
	if !p.alive() {
		return 0, errOff
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid))
	if err != nil {
		return 0, errOff
	}
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err == nil && isInit(pid) {
			return pid, nil
		}
	}
	return 0, errOff
}

// isInit says whether pid is number 1 of a pid namespace below ours.
func isInit(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(ids)
			return len(f) > 1 && f[len(f)-1] == "1"
		}
	}
	return false
}

// Off is a power cut: it kills host's processes and removes its interfaces and
// containers; its disk stays as it is. A machine that is off is no error.
func (l *Lab) Off(ctx context.Context, host string) error {
	m, err := l.mustMachine(host)
	if err != nil {
		return err
	}
	cs, err := l.containers()
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.Host == host {
			if err := l.RemoveContainer(ctx, c.Name); err != nil {
				return err
			}
		}
	}
	return l.stop(ctx, m)
}

func (l *Lab) stop(ctx context.Context, m machine) error {
	if err := l.kill(ctx, []string{m.name}, []string{l.ns(m.name)}); err != nil {
		return fmt.Errorf("switch %s off: %w", m.name, err)
	}
	if err := deleteLinks(ctx, l.ns("fabric"), m.name, m.name+"b"); err != nil {
		return err
	}
	if err := deleteNS(ctx, l.ns(m.name)); err != nil {
		return err
	}
	return l.removeCgroups(ctx, m)
}

// On boots host again, from the disk that Off left.
func (l *Lab) On(ctx context.Context, host string) error {
	m, err := l.mustMachine(host)
	if err != nil {
		return err
	}
	if _, err := l.inner(host); err == nil {
		return hint.Errorf(host, "flock lab off "+host, "boot %s: it is on", host)
	}
	return l.boot(ctx, m)
}

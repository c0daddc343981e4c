package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sshdPIDFile is a path that this machine's own sshd does not use: read through
// /proc/PID/root too early, its file would be taken for the server's.
const sshdPIDFile = "/run/flock-lab-sshd.pid"

// hidden are directories of this machine that are empty on a server: what belongs to
// this machine (homes, host keys, logs), and what would start its daemons. A unit is
// enabled by a link below /etc/systemd/system.
var hidden = []string{
	"etc/systemd/system", "etc/systemd/network", "etc/netplan", "etc/ssh", "etc/sudoers.d", "etc/cron.d",
	"etc/rc0.d", "etc/rc1.d", "etc/rc2.d", "etc/rc3.d", "etc/rc4.d", "etc/rc5.d", "etc/rc6.d", "etc/rcS.d",
	"root", "home", "tmp", "var/log", "var/spool/cron", "var/lib/flock", "usr/local/lib/flock", "etc/sysctl.d",
	"var/lib/systemd", "var/lib/misc",
}

// masked are vendor units that start without being enabled and are useless in a
// namespace.
var masked = []string{
	"getty.target", "console-getty.service", "systemd-networkd.service", "systemd-resolved.service",
	"systemd-firstboot.service", "systemd-timesyncd.service", "systemd-udevd.service", "ldconfig.service",
}

const sshdConfig = `Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile ` + sshdPIDFile + `
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
X11Forwarding no
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
`

const sshdUnit = `[Unit]
Description=OpenSSH server

[Service]
ExecStart=/usr/sbin/sshd -D
KillMode=process
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
`

// users can log in with the lab's key, besides root. admin may use sudo without a
// password, nosudo may not.
var users = []struct {
	name string
	id   int
}{{"admin", 5501}, {"nosudo", 5502}}

// writeRoot writes the upper layer of m's root: everything in which it differs from this
// machine. It is written once; a power cut keeps it.
func (l *Lab) writeRoot(m machine, k *keys) error {
	dir := l.machineDir(m.name)
	upper := l.Disk(m.name)
	for _, d := range []string{upper, filepath.Join(dir, "work"), filepath.Join(dir, "root")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("lay out %s: %w", m.name, err)
		}
	}
	r := &root{dir: upper}
	for _, d := range hidden {
		r.hide(d)
	}
	r.chmod("tmp", 0o777|fs.ModeSticky)
	r.chmod("root", 0o700)
	r.identity(m)
	r.accounts(k, l.lowerFile)
	r.write("etc/ssh/sshd_config", sshdConfig+l.SSHD, 0o644)
	r.write("etc/ssh/ssh_host_ed25519_key", string(k.host[m.name]), 0o600)
	r.write("etc/ssh/ssh_host_ed25519_key.pub", k.hostPub[m.name], 0o644)
	if l.Init == Systemd {
		r.write("etc/systemd/system/ssh.service", sshdUnit, 0o644)
		r.link("../ssh.service", "etc/systemd/system/multi-user.target.wants/ssh.service")
		for _, unit := range masked {
			r.link("/dev/null", "etc/systemd/system/"+unit)
		}
	}
	if r.err != nil {
		return fmt.Errorf("lay out %s: %w", m.name, r.err)
	}
	return nil
}

// root writes below dir until the first error, which it keeps.
type root struct {
	dir string
	err error
}

func (r *root) do(f func() error) {
	if r.err == nil {
		r.err = f()
	}
}

// mkdir makes a directory and its parents with the modes that they have on this machine:
// the mode of an upper directory replaces that of the lower one.
func (r *root) mkdir(name string) {
	if name == "." || exists(filepath.Join(r.dir, name)) {
		return
	}
	r.mkdir(filepath.Dir(name))
	r.do(func() error { return os.Mkdir(filepath.Join(r.dir, name), 0o755) })
}

func (r *root) hide(name string) {
	r.mkdir(name)
	r.do(func() error {
		if err := unix.Setxattr(filepath.Join(r.dir, name), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("hide /%s: %w", name, err)
		}
		return nil
	})
}

func (r *root) chmod(name string, mode fs.FileMode) {
	r.do(func() error { return os.Chmod(filepath.Join(r.dir, name), mode) })
}

func (r *root) write(name, text string, mode fs.FileMode) {
	r.mkdir(filepath.Dir(name))
	r.do(func() error { return os.WriteFile(filepath.Join(r.dir, name), []byte(text), mode) })
	r.chmod(name, mode)
}

func (r *root) link(target, name string) {
	r.mkdir(filepath.Dir(name))
	r.do(func() error { return os.Symlink(target, filepath.Join(r.dir, name)) })
}

func (r *root) identity(m machine) {
	var id [16]byte
	rand.Read(id[:])
	// Without a machine id systemd takes this for a first boot and enables every preset.
	r.write("etc/machine-id", hex.EncodeToString(id[:])+"\n", 0o444)
	r.write("etc/hostname", m.name+"\n", 0o644)
	r.write("etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n", m.name), 0o644)
	r.write("etc/resolv.conf", fmt.Sprintf("nameserver %s\n", outside4), 0o644)
	r.write("etc/nsswitch.conf", nsswitch, 0o644)
	r.write("etc/fstab", "", 0o644)
	r.write("etc/cloud/cloud-init.disabled", "", 0o644)
}

const nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"

// accounts gives root and the lab's users the lab's key, and no passwords.
func (r *root) accounts(k *keys, lower func(string) string) {
	passwd, err := os.ReadFile(lower("/etc/passwd"))
	group, groupErr := os.ReadFile(lower("/etc/group"))
	r.do(func() error { return errors.Join(err, groupErr) })
	shadow := new(strings.Builder)
	for line := range strings.Lines(string(passwd)) {
		name, _, _ := strings.Cut(line, ":")
		// Without PAM sshd takes an account with ! as locked.
		fmt.Fprintf(shadow, "%s:*:19000:0:99999:7:::\n", name)
	}
	p, g := string(passwd), string(group)
	for _, u := range users {
		p += fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/bash\n", u.name, u.id, u.id, u.name)
		g += fmt.Sprintf("%s:x:%d:\n", u.name, u.id)
		fmt.Fprintf(shadow, "%s:*:19000:0:99999:7:::\n", u.name)
		r.authorize("home/"+u.name, u.id, k)
	}
	r.authorize("root", 0, k)
	r.write("etc/passwd", p, 0o644)
	r.write("etc/group", g, 0o644)
	r.write("etc/shadow", shadow.String(), 0o600)
	r.write("etc/sudoers.d/flock-lab", "admin ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
}

func (r *root) authorize(home string, id int, k *keys) {
	r.write(home+"/.ssh/authorized_keys", k.authorized, 0o600)
	r.chmod(home+"/.ssh", 0o700)
	for _, name := range []string{home, home + "/.ssh", home + "/.ssh/authorized_keys"} {
		r.do(func() error { return os.Chown(filepath.Join(r.dir, name), id, id) })
	}
}

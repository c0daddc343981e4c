// Package vm runs a command under Debian's stock kernel, in QEMU, for tests of
// what this machine's own kernel lacks (WireGuard, GRE, IPIP). It owns the virtual
// machine and its initramfs; the kernel is what fetch.sh left in the cache.
//
// The command finds this machine's root as it is, read-only below a layer of
// memory: what it needs is installed here, and nothing that it does lasts. There
// is no network but its own. Without KVM everything takes ten to thirty times as
// long: times measured there mean nothing.
//
// Linux, amd64 and root only.
package vm

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Programs are what Run needs on this machine.
var Programs = []string{"qemu-system-x86_64", "cpio", "busybox", "modprobe"}

// laneEnv is set to "vm" in the environment of Run's command.
const laneEnv = "FLOCK_LANE"

// Inside says whether this process runs in a VM of Run's.
func Inside() bool { return os.Getenv(laneEnv) == "vm" }

//go:embed init.sh
var initScript []byte

//go:embed stage2.sh
var stage2 []byte

// Options says what Run runs.
type Options struct {
	Kernel string   // from Kernel
	Dir    string   // exists; the VM sees it at the same path and may write there
	Args   []string // the command, as on this machine
	Cd     string   // directory it starts in; empty: Dir
	Env    []string // NAME=VALUE, beside PATH, HOME and FLOCK_LANE
	CPUs   int      // 0: 2, or 1 where Steady
	Memory int      // MiB, its file system's layer included; 0: 4096
	// Steady lets the VM's clock count instructions, 4 ns each, whatever this machine
	// does meanwhile: what is compared there by time is compared by work, on one
	// processor.
	Steady bool
	Out    io.Writer
	// Out gets the command's stdout and stderr while it runs.
}

// Kernel finds the newest kernel that fetch.sh has put into $FLOCK_VM, or
// flock-vm in the user's cache directory.
func Kernel() (dir string, err error) {
	cache := os.Getenv("FLOCK_VM")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the kernel for the VM: %w", err)
		}
		cache = filepath.Join(user, "flock-vm")
	}
	found, err := filepath.Glob(filepath.Join(cache, "*", "vmlinuz"))
	if err != nil || len(found) == 0 {
		return "", hint.With(errors.Join(fmt.Errorf("find the kernel for the VM: none in %s", cache), err), "", "make kernel")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// Run boots, runs the command and returns its exit status. It ends QEMU with ctx.
// An error is about the VM, and quotes the end of its console.
func Run(ctx context.Context, o Options) (status int, err error) {
	if err := o.prepare(ctx); err != nil {
		return 0, fmt.Errorf("prepare the VM: %w", err)
	}
	console := filepath.Join(o.Dir, "console")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", o.qemu(console)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = o.Out, &said
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done in time: %w", ctx.Err())
	}
	text, missing := os.ReadFile(filepath.Join(o.Dir, "status"))
	if err = errors.Join(err, missing); err != nil {
		return 0, fmt.Errorf("run the VM: %w\n%s%s", err, said.String(), tail(console))
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func (o *Options) qemu(console string) []string {
	// Only root reads all of this machine's root; the guest is as trusted as the test.
	share := func(path, tag, more string) string {
		return fmt.Sprintf("local,path=%s,mount_tag=%s,security_model=none,multidevs=remap%s", path, tag, more)
	}
	cpus, memory := o.CPUs, o.Memory
	// Emulated, AVX makes cryptography slower: half of what SSE does. Strings are moved byte by
	// byte (so the kernel, Go and glibc are not to take them for fast), and each look of the kernel
	// at a program's memory is an end of what is translated at once.
	accel := []string{"-cpu", "max,-avx,-avx2,-erms,-smap,-smep,-pku,-mpx", "-accel", "tcg,thread=multi"}
	// Whenever a timer is armed, the guest is left for QEMU: an eighth of its work.
	clock := "highres=off nohz=off clearcpuid=rep_good psi=0 cgroup_disable=memory hardened_usercopy=off "
	if o.Steady {
		// Instructions are counted by one thread only. While the VM waits, its clock
		// goes on as this machine's.
		accel = []string{"-cpu", "max,-avx,-avx2", "-accel", "tcg,thread=single", "-icount", "shift=2"}
		cpus, clock = cmp.Or(cpus, 1), ""
	}
	cpus = cmp.Or(cpus, 2)
	if memory == 0 {
		memory = 4096
	}
	// Not /dev/kvm: where it exists and does not work, QEMU hangs.
	return append(accel,
		"-smp", strconv.Itoa(cpus), "-m", strconv.Itoa(memory),
		"-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-net", "none",
		"-serial", "file:"+console,
		"-device", "virtio-serial-pci", "-chardev", "file,id=out,path=/dev/stdout", "-device", "virtserialport,chardev=out,name=out",
		"-virtfs", share("/", "root", ",readonly=on"), "-virtfs", share(filepath.Join(o.Kernel, "root"), "kernel", ",readonly=on"),
		"-virtfs", share(o.Dir, "share", ""),
		"-kernel", filepath.Join(o.Kernel, "vmlinuz"), "-initrd", filepath.Join(o.Dir, "initrd"),
		// Emulated, page tables of five levels and mitigations only cost, and so does any clock
		// but the processor's. QEMU keeps code that it translated by its virtual address: a
		// program that lies somewhere else at each start is translated at each start. Nor is it
		// looked whether the timer ticks in time: on a busy machine it does not, and Linux gives up
		// (arch/x86/kernel/apic/io_apic.c, check_timer).
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no5lvl nokaslr norandmaps init_on_alloc=0 audit=0 tsc=reliable clocksource=tsc no_timer_check "+clock+
			"vm_share="+o.Dir+" vm_cd="+cmp.Or(o.Cd, o.Dir),
	)
}

// prepare writes what the VM finds in Dir.
func (o *Options) prepare(ctx context.Context) error {
	var script strings.Builder
	script.WriteString("export HOME=/root " + laneEnv + "=vm\n")
	for _, e := range o.Env {
		script.WriteString("export " + quote(e) + "\n")
	}
	script.WriteString("cd " + quote(cmp.Or(o.Cd, o.Dir)) + " || exit 126\nexec")
	for _, a := range o.Args {
		script.WriteString(" " + quote(a))
	}
	if err := os.Remove(filepath.Join(o.Dir, "status")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, text := range map[string][]byte{"command.sh": []byte(script.String() + "\n"), "stage2.sh": stage2} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return o.initramfs(ctx)
}

// quote is text as one word of sh.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Modules that init needs before it has a root.
var early = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"}

// initramfs writes Dir/initrd: busybox, init and the early modules.
func (o *Options) initramfs(ctx context.Context) error {
	dir := filepath.Join(o.Dir, "initramfs")
	for _, d := range []string{"bin", "mod"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "init"), initScript, 0o755); err != nil {
		return err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	if err := copyFile(filepath.Join(dir, "bin", "busybox"), busybox); err != nil {
		return err
	}
	modules, err := o.modules(ctx)
	if err != nil {
		return err
	}
	for i, m := range modules {
		if err := copyFile(filepath.Join(dir, "mod", fmt.Sprintf("%02d-%s", i, filepath.Base(m))), m); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", "find . | cpio -o -H newc --quiet >../initrd")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write the initramfs: %w: %s", err, out)
	}
	return os.RemoveAll(dir)
}

// modules are the files of the early modules, each after those it needs.
func (o *Options) modules(ctx context.Context) ([]string, error) {
	versions, err := os.ReadDir(filepath.Join(o.Kernel, "root/usr/lib/modules"))
	if err != nil || len(versions) != 1 {
		return nil, errors.Join(fmt.Errorf("want one kernel's modules in %s, have %d", o.Kernel, len(versions)), err)
	}
	var files []string
	for _, m := range early {
		out, err := exec.CommandContext(ctx, "modprobe", "-d", filepath.Join(o.Kernel, "root/usr"), "-S", versions[0].Name(), "--show-depends", m).Output()
		if err != nil {
			return nil, fmt.Errorf("find module %s: %w", m, err)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "insmod" && !slices.Contains(files, f[1]) {
				files = append(files, f[1])
			}
		}
	}
	return files, nil
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}

// tail is the end of a console's file.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

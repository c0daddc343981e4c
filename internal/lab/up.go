package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// bootTime bounds the time until a machine's sshd listens.
const bootTime = 300 * time.Second

// Up builds a lab and returns when every sshd answers. On an error, or when ctx
// ends, nothing is left. A lab that is there already is an error.
func Up(ctx context.Context, o Options) (*Lab, error) {
	l, err := newLab(o)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = func(string) {}
	}
	if _, err := Sweep(ctx); err != nil {
		return nil, err
	}
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := l.build(ctx, log); err != nil {
		return nil, errors.Join(err, l.Down(cleanup(ctx)))
	}
	log(fmt.Sprintf("%d servers are up after %d ms", l.N, time.Since(start).Milliseconds()))
	for _, line := range l.Usage() {
		log(line)
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context, log func(string)) error {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return fmt.Errorf("make lab directory: %w", err)
	}
	// An overlay's upper directory must not be within its lower one, hence a filesystem
	// of its own; and a tmpfs vanishes with the machine.
	if err := run(ctx, "", "mount", "-t", "tmpfs", "-o", "mode=0755", l.ns("lab"), l.Dir); err != nil {
		return err
	}
	if err := l.copyLayer(ctx); err != nil {
		return err
	}
	if err := l.raiseLimits(log); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	keys, err := l.writeKeys()
	if err != nil {
		return err
	}
	if err := l.layFabric(ctx); err != nil {
		return err
	}
	for _, m := range l.machines() {
		if err := l.writeRoot(m, keys); err != nil {
			return err
		}
	}
	log(fmt.Sprintf("booting %d servers, init %s", l.N, l.Init))
	ms := l.machines()
	if !l.Attach { // the laptop, the last one, comes first: every server proves that it is reached from there
		if err := l.boot(ctx, ms[l.N]); err != nil {
			return err
		}
		ms = ms[:l.N]
	}
	return each(ms, func(m machine) error { return l.boot(ctx, m) })
}

// each runs f for all machines, some at a time. Of several errors it returns that of the
// first machine: usually all have the same.
func each(ms []machine, f func(machine) error) error {
	errs := make([]error, len(ms))
	slots := make(chan struct{}, 8*runtime.NumCPU())
	var wg sync.WaitGroup
	for i, m := range ms {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = f(m)
		})
	}
	wg.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}

// boot connects m to the underlay and starts it on the root that writeRoot wrote.
func (l *Lab) boot(ctx context.Context, m machine) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	if err := l.wire(ctx, m); err != nil {
		return err
	}
	p, err := l.launch(ctx, m)
	if err != nil {
		return err
	}
	err = poll(ctx, 10*time.Millisecond, func() (bool, error) {
		if !p.alive() {
			return false, errors.New("its first process ended")
		}
		inner, err := l.inner(m.name)
		if err != nil {
			return false, nil // not forked yet
		}
		// sshd writes it once it listens. A connection tried before that, or
		// before the link is up, costs a second's retry.
		return exists(fmt.Sprintf("/proc/%d/root%s", inner, sshdPIDFile)), nil
	})
	if err != nil {
		return hint.With(fmt.Errorf("boot %s: %w", m.name, err), "the end of its log: "+l.logTail(m), "")
	}
	return l.dialSSH(ctx, m)
}

// dialSSH tries whether the laptop reaches m's sshd.
func (l *Lab) dialSSH(ctx context.Context, m machine) error {
	return inNS(l.LaptopNS(), func() error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(m.addr4(), 22).String())
		if err != nil {
			return fmt.Errorf("reach the sshd of %s: %w", m.name, err)
		}
		return c.Close()
	})
}

func (l *Lab) logTail(m machine) string {
	text, err := os.ReadFile(filepath.Join(l.machineDir(m.name), "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

// check refuses options and machines that cannot work, before anything is made.
func (l *Lab) check(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("build a lab on %s: it is made of Linux namespaces", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return hint.Errorf("", "sudo flock lab up", "build a lab as user %d: namespaces and overlays need root", os.Geteuid())
	}
	if err := l.checkPrograms(); err != nil {
		return err
	}
	if err := l.checkLayer(); err != nil {
		return err
	}
	if exists(l.path(metaFile)) {
		return hint.Errorf(l.Dir, "flock lab down", "build a lab: one is there already")
	}
	if entries, err := os.ReadDir(l.Dir); err == nil && len(entries) > 0 {
		return hint.Errorf(l.Dir, "flock lab down", "build a lab: its directory is not empty")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read lab directory: %w", err)
	}
	if left, err := l.namespaces(); err != nil {
		return err
	} else if len(left) > 0 {
		return hint.Errorf(l.Dir, "flock lab down", "build a lab: the namespace %s of an older one is there", left[0])
	}
	if l.Attach {
		return l.checkFree(ctx)
	}
	return nil
}

// checkPrograms names every Debian package that is missing, at once.
func (l *Lab) checkPrograms() error {
	need := map[string]string{
		"/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client", "ip": "iproute2", "nsenter": "util-linux",
		"busybox": "busybox-static", "dnsmasq": "dnsmasq-base", "sudo": "sudo", "ping": "iputils-ping",
	}
	if l.Init == Systemd {
		need["systemd-nspawn"] = "systemd-container"
	}
	var missing []string
	for program, pkg := range need {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return hint.Errorf("", "apt-get install "+strings.Join(missing, " "), "build a lab: missing %s", strings.Join(missing, ", "))
}

// poll calls done at every interval until it is true, fails or ctx ends.
func poll(ctx context.Context, interval time.Duration, done func() (bool, error)) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// run runs a program with text on its stdin; its stderr is the error.
func run(ctx context.Context, stdin string, argv ...string) error {
	_, err := output(ctx, stdin, argv...)
	return err
}

func output(ctx context.Context, stdin string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

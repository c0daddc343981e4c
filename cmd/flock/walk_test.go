//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/vm"
)

// The walks: scripts of flock commands against real servers. Beside testscript's
// own commands they have
//
//	lab N [--init systemd|none]        boot servers s1 … sN and a laptop for this script,
//	                                   with systemd natively and without in the VM if not told
//	flock ARG...                       run flock on the laptop; what it changes must be what it planned, and
//	                                   natively also what a dry run said just before
//	                                   (env DRY_RUNS=none: it is not made; vm: in the VM too)
//	on HOST CMD...                     run a command on a server, or on the laptop
//	typed FILE CMD...                  run a command on a terminal of the laptop's; each line of FILE is what
//	                                   the command asks, a bar, and what is typed whenever it does
//	in CONTAINER CMD...                run a command in a container
//	container HOST NAME BRIDGE [dhcp|none|ADDRESS/LEN]   plug a container in; $NAME is its address afterwards,
//	                                   which by DHCP it must get within three seconds
//	uncontainer NAME                   remove it
//	status N VERB ARG...               the verb's command exits with status N
//	bad PATTERN ARG...                 flock ARG... is refused: exit status 2, nothing on stdout, and
//	                                   on stderr what (PATTERN in it), where or next, once each
//	eventually SECONDS [!] VERB ARG... the verb succeeds (or, with !, fails) within that time
//	off HOST, on HOST                  cut a server's power; boot it again
//	cut HOST, join HOST                pull a server's cable; plug it in again
//	listings HOST FILE [kernel]        write what the server's kernel and disk hold, see listing_test.go, or its kernel alone,
//	                                   without numbers that it counts up
//	built COMMIT DIR                   build flock as it was at COMMIT into DIR; needs no lab yet
//	printed FILE                       what flock printed just before is FILE, but for times (pagewalks_test.go)
//	capture HOST IFACE FILE FILTER     write packets as lines of text, until
//	stopcapture                        …
//	cloud WHAT…                        a cloud beside the lab, see cloud_test.go
//	pinger CONTAINER ADDRESS NAME      send a ping every 10 ms, until
//	stoppinger NAME LOSTMAX            … at most LOSTMAX of which may be lost
//
// The condition [vm] holds in the VM lane (vm_test.go), [link:KIND] where the kernel
// has that kind of link.
//
// HOST may be laptop. All commands of a script's flock share the state file
// $FLOCK_STATE. $TREE is this module's directory, $KERNEL that of the VM lane's kernel (make kernel),
// for guests.

// parallelLabs is how many scripts have a lab at a time: a server with systemd
// is 30 MB and half a second of CPU.
const parallelLabs = 2

// leaseWithin is the time from the start of a container's DHCP client to its address, and
// leaseAsked how often the client asks for one, once a second, before it is late. They are
// no measure of speed: a busy machine takes two seconds for what takes 0.1 on an idle one,
// or more, but does not let the client ask again and again. What they find are dnsmasq's
// ping before an offer (3 s) and a WireGuard handshake that is tried again (5 s).
const (
	leaseWithin = 2900 * time.Millisecond
	leaseAsked  = 3
)

func TestWalks(t *testing.T) {
	t.Parallel() // beside the VM, which keeps one processor busy
	lab.Need(t, "ip", "bridge", "nft", "nsenter", "sshd", "busybox", "dnsmasq", "tcpdump", "ping", "sudo", "systemd-nspawn")
	bin := build(t)
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	slots := make(chan struct{}, parallelLabs)
	next := &advice{}
	t.Cleanup(func() { next.report(t) }) // when all scripts are over
	testscript.Run(t, testscript.Params{
		Files: lane(t),
		Cmds:  verbs(),
		Condition: func(name string) (bool, error) {
			if kind, ok := strings.CutPrefix(name, "link:"); ok {
				return lab.HasLink(kind), nil
			}
			if name != vmLane {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return vm.Inside(), nil
		},
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("USER", "root")
			env.Setenv("PATH", bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
			env.Setenv("FLOCK_STATE", filepath.Join(env.WorkDir, "flock.toml"))
			// A second script of one name (walk.txtar) is NAME#1, which no lab is called.
			env.Setenv("FLOCK_LAB", filepath.Join(strings.ReplaceAll(env.WorkDir, "#", "-"), "lab"))
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TREE", tree)
			if kernel, err := vm.Kernel(); err == nil {
				env.Setenv("KERNEL", kernel)
			}
			env.Setenv("FLOCK_TRACE", tracePath(env.WorkDir))
			env.Values[walkKey{}] = &walk{bin: bin, work: env.WorkDir, slots: slots, pingers: map[string]*pinger{}, advice: next}
			return os.MkdirAll(home, 0o700)
		},
	})
}

// build makes the program by the recipe that users make it by.
func build(t testing.TB) (dir string) {
	t.Helper()
	if dir = os.Getenv(binEnv); dir != "" {
		return dir
	}
	lab.Need(t, "make")
	dir = t.TempDir()
	cmd := exec.Command("make", "-s", "-C", "../..", "build", "OUT="+filepath.Join(dir, "flock"))
	// What a make above us wants of its own targets is not meant for this one.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build flock: %v\n%s", err, text)
	}
	return dir
}

// lane are the scripts that run here.
func lane(t *testing.T) []string {
	t.Helper()
	here := nativeLane
	if vm.Inside() {
		here = vmLane
	}
	return slices.DeleteFunc(scripts(t), func(file string) bool { return !slices.Contains(lanesOf(t, file), here) })
}

func scripts(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"testdata/script/*.txtar", "../../examples/*/walk.txtar"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("want scripts, have none")
	}
	return append(append(append(files, optionWalks(t)...), exampleWalks(t)...), pageWalk(t))
}

type walkKey struct{}

// walk is what one script has under way.
type walk struct {
	bin, work string
	slots     chan struct{}
	lab       *lab.Lab
	capture   *background
	pingers   map[string]*pinger
	cloud     *labCloud
	advice    *advice
	traced    int // bytes of the trace that were read
}

// verb does one command of a script; the error of a program that ran is its
// *exec.ExitError.
type verb func(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error

// usage is a script's mistake, which not even ! forgives.
type usage string

func (u usage) Error() string { return "usage: " + string(u) }

// unmet is a check that did not hold, which ! turns round.
type unmet string

func (u unmet) Error() string { return string(u) }

// Verbs that may follow status and eventually.
func programs() map[string]verb {
	return map[string]verb{"flock": verbFlock, "on": verbOn, "in": verbIn, "typed": verbTyped}
}

func verbs() map[string]func(*testscript.TestScript, bool, []string) {
	all := programs()
	for name, v := range map[string]verb{
		"built": verbBuilt, "packaged": verbPackaged, "lab": verbLab, "container": verbContainer, "uncontainer": verbUncontainer, "status": verbStatus, "bad": verbBad,
		"eventually": verbEventually, "resshd": verbResshd, "off": verbOff, "cut": verbCut, "join": verbJoin, "listings": verbListings,
		"printed": verbPrinted, "cloud": verbCloud, "capture": verbCapture, "stopcapture": verbStopCapture, "pinger": verbPinger, "stoppinger": verbStopPinger,
	} {
		all[name] = v
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, v := range all {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			w := ts.Value(walkKey{}).(*walk)
			if w.lab == nil && name != "lab" && name != "built" && name != "packaged" {
				ts.Fatalf("%s: the script has no lab yet", name)
			}
			err := v(context.Background(), w, ts, args)
			var exit *exec.ExitError
			switch {
			case neg && err == nil:
				ts.Fatalf("%s: want a failure, have none", name)
			case neg && (errors.As(err, &exit) || errors.As(err, new(unmet))):
			case err != nil:
				w.evidence(ts)
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return cmds
}

// lookAround is what a server shows of the networks on it.
const lookAround = `ip -br address; ip route; ip neigh; bridge fdb show | grep -v -e 01:00:5e -e 33:33; wg show
	journalctl -q --no-pager -o short-precise -n 12 -u 'flock*' 2>/dev/null; true`

// evidence logs how the servers look when something did not work.
func (w *walk) evidence(ts *testscript.TestScript) {
	if w.lab == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, server := range w.lab.Servers() {
		out, err := w.lab.Command(ctx, server, "sh", "-c", lookAround).CombinedOutput()
		ts.Logf("%s: %v\n%s", server, err, out)
	}
}

func verbLab(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	o := lab.Options{Dir: ts.Getenv("FLOCK_LAB"), Share: []string{w.bin, w.work}, Bound: true}
	if vm.Inside() {
		o.Init = lab.None // systemd takes half a minute there
		// OpenSSH's own exchange of keys is half of a login there; flock's client has this one.
		o.SSHD = "KexAlgorithms curve25519-sha256\n"
	}
	if len(args) == 3 && args[1] == "--init" {
		o.Init, args = args[2], args[:1]
	}
	if len(args) == 2 && args[1] == "--root" { // the one that make root prepares
		root, err := lab.DefaultRoot()
		if err != nil {
			return err
		}
		o.Root, args = root, args[:1]
	}
	if len(args) != 1 || w.lab != nil {
		return usage("lab N [--init systemd|none | --root], once")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return usage("lab N")
	}
	o.N = n
	w.slots <- struct{}{}
	ts.Defer(func() { <-w.slots })
	l, err := lab.Up(ctx, o)
	if err != nil {
		return err
	}
	w.lab = l
	ts.Defer(func() {
		if err := errors.Join(w.stopAll(), l.Down(ctx)); err != nil {
			ts.Logf("lab down: %v", err)
			panic(err) // the only way to fail a script that is over
		}
	})
	ts.Setenv("FLOCK_SSH_CONFIG", l.SSHConfig())
	return nil
}

// exec runs argv inside name, in the script's directory where it has that.
func (w *walk) exec(ctx context.Context, ts *testscript.TestScript, name string, argv ...string) error {
	if name == lab.Laptop {
		argv = append([]string{"sh", "-c", `cd "$1" && shift && exec "$@"`, "sh", ts.MkAbs(".")}, argv...)
	}
	cmd := w.lab.Command(ctx, name, argv...)
	if cmd.Err != nil {
		return cmd.Err
	}
	return ts.Exec(cmd.Args[0], cmd.Args[1:]...)
}

func verbOn(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	switch {
	case len(args) == 1:
		return w.lab.On(ctx, args[0])
	case len(args) > 1 && (args[0] == lab.Laptop || slices.Contains(w.lab.Servers(), args[0])):
		return w.exec(ctx, ts, args[0], args[1:]...)
	}
	return usage("on HOST [CMD...]")
}

func verbIn(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return usage("in CONTAINER CMD...")
	}
	return w.exec(ctx, ts, args[0], args[1:]...)
}

func verbContainer(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) == 3 {
		args = append(args, "dhcp")
	}
	if len(args) != 4 {
		return usage("container HOST NAME BRIDGE [dhcp|none|ADDRESS/LEN]")
	}
	c, err := w.lab.Container(ctx, args[0], args[1], args[2], args[3])
	if err != nil {
		return err
	}
	ts.Logf("container %s: %v, lease after %d ms, asked for %d times", c.Name, c.Addresses, c.LeaseMS, c.Discovers)
	if lease := time.Duration(c.LeaseMS) * time.Millisecond; lease > patience(leaseWithin) && c.Discovers >= leaseAsked {
		return unmet(fmt.Sprintf("the lease of %s: want it within %v, have it after %v, when it was asked for %d times", c.Name, leaseWithin, lease, c.Discovers))
	}
	if len(c.Addresses) > 0 {
		ts.Setenv(c.Name, c.Addresses[0].Addr().String())
	}
	return nil
}

func verbUncontainer(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("uncontainer NAME")
	}
	return w.lab.RemoveContainer(ctx, args[0])
}

func verbOff(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("off HOST")
	}
	return w.lab.Off(ctx, args[0])
}

// reloadSSHD makes a server's sshd read its files again, and returns when it listens anew: on
// SIGHUP it closes its sockets and starts itself again, and a login meanwhile is refused or reset.
func reloadSSHD(ctx context.Context, l *lab.Lab, server string) error {
	const script = `at() { ss -Htlne sport = :22 | grep -o "ino:[0-9]*"; }
		was=$(at); kill -HUP $(cat /run/flock-lab-sshd.pid)
		for i in $(seq 300); do now=$(at); [ "$now" ] && [ "$now" != "$was" ] && exit; sleep 0.1; done; exit 1`
	if out, err := l.Command(ctx, server, "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("reload sshd of %s: %w: %s", server, err, out)
	}
	return nil
}

func verbResshd(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("resshd SERVER")
	}
	return reloadSSHD(ctx, w.lab, args[0])
}

func verbCut(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("cut HOST")
	}
	return w.lab.Cut(ctx, args[0])
}

func verbJoin(ctx context.Context, w *walk, _ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("join HOST")
	}
	return w.lab.Join(ctx, args[0])
}

// program finds the verb named by args.
func program(args []string) (verb, []string, error) {
	if len(args) > 0 {
		if v := programs()[args[0]]; v != nil {
			return v, args[1:], nil
		}
	}
	return nil, nil, usage("flock|on|in|typed ARG... here")
}

func verbStatus(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return usage("status N VERB ARG...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return usage("status N VERB ARG...")
	}
	v, rest, err := program(args[1:])
	if err != nil {
		return err
	}
	err = v(ctx, w, ts, rest)
	have := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		have = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if want != have {
		return unmet(fmt.Sprintf("exit status: want %d, have %d", want, have))
	}
	return nil
}

// refusal is an error as it is printed: one line of what, then where and next.
var refusal = regexp.MustCompile(`^flock: ([^\n]+)\n(where: [^\n]+\n)?(next:  [^\n]+\n)$`)

func verbBad(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return usage("bad PATTERN ARG...")
	}
	pattern, err := regexp.Compile(args[0])
	if err != nil {
		return usage("bad PATTERN ARG...: " + err.Error())
	}
	if err := verbStatus(ctx, w, ts, append([]string{"2", "flock"}, args[1:]...)); err != nil {
		return err
	}
	said := refusal.FindStringSubmatch(ts.ReadFile("stderr"))
	switch {
	case said == nil:
		return unmet("want one line of what, where and next on stderr")
	case !pattern.MatchString(said[1]) && !pattern.MatchString(said[2]):
		return unmet(fmt.Sprintf("want %q in what or where", pattern))
	case ts.ReadFile("stdout") != "":
		return unmet("want nothing on stdout")
	}
	return nil
}

func verbEventually(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return usage("eventually SECONDS [!] VERB ARG...")
	}
	seconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return usage("eventually SECONDS [!] VERB ARG...")
	}
	within, args := args[0], args[1:]
	neg := args[0] == "!"
	if neg {
		args = args[1:]
	}
	v, rest, err := program(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience(time.Duration(seconds*float64(time.Second))))
	defer cancel()
	begin := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := v(ctx, w, ts, rest)
		if (err == nil) != neg {
			ts.Logf("so after %v", time.Since(begin).Round(time.Millisecond))
			return nil
		}
		if errors.As(err, new(usage)) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("still not so after %s s: %w", within, err)
		}
	}
}

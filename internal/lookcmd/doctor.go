package lookcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	var fix bool
	var bundle string
	cmd := &cobra.Command{
		Use:   "doctor [SERVER...]",
		Short: "find what on servers, and on the workstation, will bite",
		Long: `Look on servers for what breaks networks, or will: kernels without a kind of device that
networks need, dnsmasq missing or port 53 taken, forwarding off, strict reverse path filters,
chains that drop forwarded packets and whose they are, firewalls that let no tunnel in, Docker's
nftables backend, NetworkManager and systemd-networkd at flock's devices, bridges of others in
subnets of networks, NAT, cloned machine ids and host keys, full tables of the kernel, sshd's
limits, clocks, and what is left of flock without an owner. And on the workstation for files that
others may write, and more keys than a server lets be tried. Without servers, all are examined.
What each finding comes to stands below it, and a line that mends it, or shows more of it.

--fix does what stops nothing that works, after it was shown and confirmed, and looks again.
--bundle writes what was seen to a file for a report about a fault: facts, findings, plan, status,
versions and the cluster file, without keys and passwords.

Exit status 4 when something was found, 3 when a server did not answer or a fix did not help.

  flock doctor
  flock doctor s1 s2 --fix
  flock doctor --bundle report.tar.gz`,
		Args:              command.Between(0, 1<<30),
		Annotations:       command.ChangingBy("fix"),
		ValidArgsFunction: a.CompleteServers(1 << 30),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("bundle") && bundle == "" {
				return command.Refuse("--bundle report.tar.gz", "--bundle: the name of the file is empty")
			}
			return a.doctor(cmd.Context(), args, fix, bundle)
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "do what is safe, after asking")
	cmd.Flags().StringVar(&bundle, "bundle", "", "write what was seen to `FILE` (tar.gz), without secrets")
	return cmd
}

// examined are the servers of the file that are named, without names all.
func examined(c *state.Cluster, names []string) ([]string, error) {
	if err := command.KnownServers(c, names...); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = c.ServerNames()
	}
	if len(names) == 0 {
		return nil, command.NoServer()
	}
	if slices.Contains(names, remote.Local) && c.Servers[remote.Local] == nil {
		return nil, command.Usage(hint.Errorf("server "+remote.Local, "flock listservers", "the workstation is a server of no network"))
	}
	return names, nil
}

func (a *app) doctor(ctx context.Context, names []string, fix bool, bundle string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if names, err = examined(c, names); err != nil {
		return err
	}
	if fix {
		if err := a.MayAsk("do what is safe on the servers?"); err != nil {
			return err
		}
	}
	var file *os.File
	if bundle != "" && !a.DryRun() {
		// Before anybody is contacted: it has everything of a cluster in it, for its owner alone.
		if file, err = os.OpenFile(bundle, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return command.Usage(hint.With(fmt.Errorf("write the bundle: %w", err), "", "--bundle with the name of a file that is not there, in a directory that is"))
		}
	}
	found, d, err := a.examine(ctx, names, nil)
	if err == nil && bundle != "" && file != nil {
		err = a.bundle(file, d, found)
	}
	if err != nil {
		if file != nil {
			_ = os.Remove(bundle) // it is empty
		}
		return err
	}
	if !a.JSON() {
		if err := doctor.Print(a.Out, a.TableWidth(), &d.Facts, found); err != nil {
			return err
		}
	}
	failed := false
	if safe := doctor.Safe(found); fix && len(safe) > 0 {
		if found, d, failed, err = a.mend(ctx, names, found, safe, d); err != nil {
			return err
		}
	} else if len(safe) > 0 && !a.JSON() {
		a.Say("--fix does what is safe: %d of %d", len(safe), len(found))
	}
	return a.diagnosed(d, found, fix, failed)
}

// examine gathers and judges. mend are lines that servers run before.
func (a *app) examine(ctx context.Context, names []string, mend map[string][]string) (found []doctor.Finding, d *change.Diagnosis, err error) {
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		d, err = e.Doctor(ctx, names, mend)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if d.Facts.Cluster != nil {
		d.Facts.Workstation, d.Facts.Logins = a.workstation(d.Facts.Cluster), a.logins(ctx, &d.Facts)
	}
	slices.SortFunc(d.Facts.Servers, func(x, y doctor.Server) int { return screen.ByName(x.Name, y.Name) })
	return doctor.Examine(&d.Facts), d, nil
}

// mend shows what is safe, asks, does it, and looks again.
func (a *app) mend(ctx context.Context, names []string, found, safe []doctor.Finding, d *change.Diagnosis) ([]doctor.Finding, *change.Diagnosis, bool, error) {
	for _, line := range doctor.Plan(safe) {
		a.Say("~ %s", line)
	}
	if a.DryRun() {
		return found, d, false, nil
	}
	p := command.NewProgress(a.App)
	err := a.Confirm(p, fmt.Sprintf("do these %d?", len(safe)))
	p.Stop()
	if err != nil {
		return found, d, false, err
	}
	lines := map[string][]string{}
	for _, f := range safe {
		if f.Server != "" {
			lines[f.Server] = append(lines[f.Server], f.Fix)
		}
	}
	chmods := closeFiles(d.Facts.Workstation.Open)
	again, after, err := a.examine(ctx, names, lines)
	if err != nil {
		return found, d, false, err
	}
	failed := false
	for _, f := range safe {
		why := ""
		switch i := slices.Index(lines[f.Server], f.Fix); {
		case f.Server == "" && chmods[f.Object] != nil:
			why = chmods[f.Object].Error()
		case f.Server == "":
		case i >= len(after.Mended[f.Server]):
			why = "the server did not answer"
		default:
			why = failure(after.Mended[f.Server][i])
		}
		if why == "" && slices.ContainsFunc(again, f.Same) {
			why = "the line ran, and it is as before"
		}
		word := "done"
		if why != "" {
			word, failed = "not done: "+why, true
		}
		a.Say("%s: %s: %s", cmp.Or(f.Server, "workstation"), f.What, word)
	}
	return again, after, failed, nil
}

// closeFiles gives files the permissions that are right: by path what came of each.
func closeFiles(open []doctor.Open) map[string]error {
	out := map[string]error{}
	for _, o := range open {
		out[o.Path] = os.Chmod(o.Path, fs.FileMode(o.Most))
	}
	return out
}

// failure is why a line that a server ran did not do its work; "" if it did.
func failure(r spec.Ran) string {
	switch {
	case r.Status == 0 && r.Why == "":
		return ""
	case r.Why != "":
		return r.Why
	}
	return cmp.Or(strings.TrimSpace(r.Text), fmt.Sprintf("exit status %d", r.Status))
}

// diagnosed prints what is only printed at the end, and says how to exit.
func (a *app) diagnosed(d *change.Diagnosis, found []doctor.Finding, fix, failed bool) error {
	var absent []string
	for _, s := range d.Absent {
		absent = append(absent, s.Name)
	}
	if a.JSON() {
		if err := a.PrintJSON(doctor.DocOf(&d.Facts, found, absent)); err != nil {
			return err
		}
	}
	for _, s := range d.Absent {
		a.Report(s.Err)
	}
	switch {
	case failed || len(absent) > 0:
		return command.Exit(command.ExitPartial)
	case a.DryRun() && fix && len(doctor.Safe(found)) == len(found):
		return nil // nothing would be left
	case len(found) > 0:
		return command.Exit(command.ExitDrift)
	}
	if !a.JSON() {
		a.Say("nothing found")
	}
	return nil
}

// bundle writes what was seen.
func (a *app) bundle(file *os.File, d *change.Diagnosis, found []doctor.Finding) error {
	b := doctor.Bundle{Facts: &d.Facts, Findings: found, Version: a.Version, Time: time.Now(), Absent: map[string]string{}}
	for _, s := range d.Absent {
		b.Absent[s.Name] = screen.Message(s.Err)
	}
	store, err := a.Store()
	if err != nil {
		return err
	}
	const most = 64 << 20 // bytes
	text, err := plainfile.Read(store.Path(), most)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the cluster file: %w", err)
	}
	b.File = string(text)
	if err := cmp.Or(b.Write(file), file.Close()); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	a.Say("%s: what was seen, without keys and passwords", file.Name())
	return nil
}

// workstation is what is known of this machine.
func (a *app) workstation(c *state.Cluster) doctor.Workstation {
	w := doctor.Workstation{Keys: remote.AgentKeys(a.Getenv("SSH_AUTH_SOCK"))}
	look := func(path string, wrong fs.FileMode) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&wrong != 0 && info.Mode()&fs.ModeSticky == 0 { // as /tmp
			mode := info.Mode().Perm()
			w.Open = append(w.Open, doctor.Open{Path: path, Mode: int(mode), Most: int(mode &^ wrong)})
		}
	}
	if s, err := a.Store(); err == nil {
		look(s.Path(), 0o002)
		look(filepath.Dir(s.Path()), 0o002)
	}
	if home := a.Getenv("HOME"); home != "" {
		for _, name := range []string{".ssh", ".ssh/config", ".ssh/known_hosts"} {
			look(filepath.Join(home, name), 0o022)
		}
	}
	var keys []string
	for _, s := range c.Servers {
		key := s.Identity
		if rest, ok := strings.CutPrefix(key, "~/"); ok {
			key = filepath.Join(a.Getenv("HOME"), rest)
		}
		if key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if ownKey(key) {
			look(key, 0o077)
		}
	}
	return w
}

// ownKey says whether a file is the operator's, and begins as private keys do.
func ownKey(path string) bool {
	const most = 1 << 16 // bytes: keys have a few thousand
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if st, known := info.Sys().(*syscall.Stat_t); !known || int(st.Uid) != os.Getuid() {
		return false
	}
	text, err := plainfile.Read(path, most)
	line, _, _ := strings.Cut(string(text), "\n")
	clear(text)
	return err == nil && strings.HasPrefix(line, "-----BEGIN ") && strings.Contains(line, "PRIVATE KEY-----")
}

// logins are how one logs in to the servers that answered.
func (a *app) logins(ctx context.Context, f *doctor.Facts) map[string]doctor.Login {
	out, d := map[string]doctor.Login{}, a.Dialer()
	for _, s := range f.Servers {
		if s.Name != remote.Local {
			l, err := d.SSHLogin(ctx, change.Target(f.Cluster, s.Name))
			out[s.Name] = doctor.Login{Args: l.Args, Root: err == nil && l.User == "root", Named: l.Named, Forget: l.Forget}
		}
	}
	return out
}

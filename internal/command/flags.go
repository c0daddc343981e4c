package command

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocknet/flock/internal/view"
)

// globals are the flags that every command takes.
type globals struct {
	cluster, state, sshConfig string
	json, acceptNew, anew     bool
	dryRun, yes, noVerify     bool
	parallel                  int
	timeout                   time.Duration
	connect                   time.Duration // for a server's first packet
}

// viewConnect is how long a command that only looks waits for the first packet of a
// server, so that one that is off does not delay the others. It allows for one lost
// packet.
const viewConnect = 3 * time.Second

// AddGlobals adds the flags that every command takes.
func (a *App) AddGlobals(f *pflag.FlagSet) {
	g := &a.flags
	f.StringVar(&g.cluster, "cluster", "", "the cluster, `NAME` (env FLOCK_CLUSTER; default \"default\")")
	f.StringVar(&g.state, "state", "", "the cluster `FILE` (env FLOCK_STATE; default $XDG_STATE_HOME/flock/CLUSTER.toml)")
	f.StringVarP(&a.Output, "output", "o", view.FormTable, "print `table|json|wide`")
	f.BoolVar(&g.json, "json", false, "short for -o json")
	f.BoolVar(&g.dryRun, "dry-run", false, "print the plan from the live servers, change nothing")
	f.BoolVar(&g.noVerify, "no-verify", false, "do not try whether members that a change brings together reach each other")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask; scripts need it to take something away")
	f.IntVar(&g.parallel, "parallel", 64, "contact `N` servers at once")
	f.DurationVar(&g.timeout, "timeout", 15*time.Second, "give a server this `DURATION` to let us in; without it views wait 3s for its first packet")
	f.StringVar(&g.sshConfig, "ssh-config", "", "read this `FILE` instead of ~/.ssh/config (env FLOCK_SSH_CONFIG)")
	f.BoolVar(&g.anew, "no-control", false, "log in, though ssh has a connection that is up (ControlPath)")
	f.BoolVar(&g.acceptNew, "accept-new", false, "trust servers whose host key is not known yet")
	f.BoolVar(&a.Verbose, "verbose", false, "say more: SSH steps, every forwarding entry")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "say nothing but data and errors")
}

// Cluster is the name of the cluster: a flag with an environment variable as default, as are
// statePath and sshConfig.
func (a *App) Cluster() string {
	return cmp.Or(a.flags.cluster, a.Getenv("FLOCK_CLUSTER"), "default")
}

func (a *App) statePath() string { return cmp.Or(a.flags.state, a.Getenv("FLOCK_STATE")) }

func (a *App) sshConfig() string { return cmp.Or(a.flags.sshConfig, a.Getenv("FLOCK_SSH_CONFIG")) }

// CheckGlobals refuses values that no command, or not this one, accepts.
func (a *App) CheckGlobals(cmd *cobra.Command) error {
	g := &a.flags
	if !cmd.Flags().Changed("output") {
		a.Output = forms(cmd)[0]
	}
	a.ran = cmd
	if g.json {
		a.Output = view.FormJSON
	}
	if looks(cmd) && !cmd.Flags().Changed("timeout") {
		g.connect = viewConnect
	}
	if i := cmd.Flags().Lookup("identity"); i != nil && !i.Changed {
		a.namesKey = true
	}
	switch {
	case a.Output == view.FormMetrics && cmd.Annotations[metered] == "":
		return Refuse("flock status -o prometheus", "%s prints no metrics", cmd.CommandPath()[len("flock "):])
	case !slices.Contains(forms(cmd), a.Output):
		return Refuse("-o "+strings.Join(forms(cmd), ", -o "), "unknown output form %q", a.Output)
	case g.parallel < 1:
		return Refuse("--parallel 64", "--parallel %d: at least one server at a time", g.parallel)
	case g.timeout <= 0:
		return Refuse("--timeout 15s", "--timeout %s is no time at all", g.timeout)
	case g.dryRun && !Changes(cmd):
		return Refuse("leave --dry-run away", "%s does not know --dry-run", cmd.CommandPath()[len("flock "):])
	case g.noVerify && !Changes(cmd):
		return Refuse("leave --no-verify away", "%s does not know --no-verify", cmd.CommandPath()[len("flock "):])
	case a.Verbose && a.Quiet:
		return Refuse("leave one away", "--verbose and --quiet contradict each other")
	}
	return nil
}

// ValueApart refuses a number behind a flag whose value may be left out: it would be a word
// of its own (pflag's NoOptDefVal). What is no command is none of its business.
func (a *App) ValueApart(root *cobra.Command) error {
	cmd, _, err := root.Find(a.Args)
	if err != nil {
		return nil //nolint:nilerr // cobra says what is wrong
	}
	for i, word := range a.Args[:max(len(a.Args)-1, 0)] {
		name, long := strings.CutPrefix(word, "--")
		value := a.Args[i+1]
		f := cmd.Flags().Lookup(name)
		if !long || f == nil || f.NoOptDefVal == "" || f.Value.Type() == "bool" || strings.Trim(value, "0123456789") != "" {
			continue
		}
		return Refuse(ShellLine(slices.Concat(a.Args[:i], []string{word + "=" + value}, a.Args[i+2:])), "%s %s: the value of %s is written behind a '='", word, value, word)
	}
	return nil
}

// metered marks a command that can print metrics.
const metered = "metered"

// Metered are the annotations of a command that prints metrics with -o prometheus.
func Metered() map[string]string { return map[string]string{metered: "yes"} }

// formed marks a command that prints in forms of its own.
const formed = "formed"

// Forms are the annotations of a command whose -o has these values and no others; the first is
// the default.
func Forms(names ...string) map[string]string {
	return map[string]string{formed: strings.Join(names, " ")}
}

// forms are the values of -o for a command, the default first.
func forms(cmd *cobra.Command) []string {
	if own := cmd.Annotations[formed]; own != "" {
		return strings.Fields(own)
	}
	out := []string{view.FormTable, view.FormJSON, view.FormWide}
	if cmd.Annotations[metered] != "" {
		out = append(out, view.FormMetrics)
	}
	return out
}

// CompleteForms offers the values of -o.
func CompleteForms(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return forms(cmd), cobra.ShellCompDirectiveNoFileComp
}

// changes marks a command that --dry-run and --no-verify are for.
const changes = "changes"

// Changing are the annotations of a command that changes something: --dry-run and --no-verify
// are for it.
func Changing() map[string]string { return map[string]string{changes: "always"} }

// ChangingBy are those of a command that changes something with a flag, and only looks without.
func ChangingBy(flag string) map[string]string { return map[string]string{changes: flag} }

// looks says whether a command only looks, as it is called.
func looks(cmd *cobra.Command) bool {
	flag := cmd.Flags().Lookup(cmd.Annotations[changes])
	return !Changes(cmd) || flag != nil && !flag.Changed
}

// Changes says whether a command changes something.
func Changes(cmd *cobra.Command) bool { return cmd.Annotations[changes] != "" }

// Prefixes is the value of a flag that takes a subnet, and may be given twice.
type Prefixes []netip.Prefix

// Set adds a subnet.
func (p *Prefixes) Set(s string) error {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not a subnet such as 10.0.4.0/24", s)
	}
	*p = append(*p, prefix)
	return nil
}

func (p *Prefixes) String() string {
	var out []string
	for _, prefix := range *p {
		out = append(out, prefix.String())
	}
	return strings.Join(out, ",")
}

// Type names the value in help.
func (*Prefixes) Type() string { return "SUBNET" }

// Addr is the value of a flag that takes an IP address.
type Addr struct{ netip.Addr }

// Set reads an IPv4 or IPv6 address.
func (a *Addr) Set(s string) error {
	parsed, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("%q is not an IP address", s)
	}
	a.Addr = parsed
	return nil
}

func (a *Addr) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// Type names the value in help.
func (*Addr) Type() string { return "GROUP" }

// Parsed is the value of a flag that is a number and written in several ways.
type Parsed struct {
	Parse func(string) (int64, error)
	Take  func(int64) // is called with what Parse returns
	text  string
}

// Set reads the number.
func (p *Parsed) Set(text string) error {
	n, err := p.Parse(text)
	if err == nil {
		p.text = text
		p.Take(n)
	}
	return err
}

func (p *Parsed) String() string { return p.text }

// Type names the value in help that has no name for it.
func (*Parsed) Type() string { return "N" }

// Number returns the value of an integer flag, nil when it was not given.
func Number(cmd *cobra.Command, name string, value *int64) *int64 {
	if !cmd.Flags().Changed(name) {
		return nil
	}
	return value
}

// ForceShare is what --force does where subnets are shared.
const ForceShare = "also a subnet that contains a server's DNS resolver, or is /3 or wider"

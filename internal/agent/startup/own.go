//go:build linux

package startup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/templates"
)

// What systemd grants the agent at most, however many clusters there are.
const (
	EarlyLimit = 30 * time.Second // others start only then
	BootLimit  = 4 * time.Minute
	RulesLimit = 90 * time.Second
)

// own is a unit that all clusters share.
type own struct {
	name string
	text func(program string) (string, error)
	by   []string // units that want it
}

// owns are the units. The last mends the others.
var owns = []own{
	{unit.Rules, rulesText, flushers},
	{unit.Early, earlyText, atBoot},
	{unit.Boot, bootText, atBoot},
}

var atBoot = []string{"multi-user.target"}

// flushers are units of programs that replace the whole packet filter when they start or
// read their configuration again, ours with it. Each has an instance of the rules unit,
// which runs while the program does: systemd reloads only what is active.
var flushers = []string{"nftables.service", "netfilter-persistent.service", "firewalld.service", "ufw.service", "docker.service"}

func earlyText(program string) (string, error) {
	return templates.EarlyUnit{Program: program, Timeout: int(EarlyLimit.Seconds())}.Text()
}

func bootText(program string) (string, error) {
	return templates.BootUnit{Program: program, Timeout: int(BootLimit.Seconds())}.Text()
}

func rulesText(program string) (string, error) {
	return templates.RulesUnit{Program: program, Timeout: int(RulesLimit.Seconds())}.Text()
}

// link is the link that makes systemd start o, or o's instance, with by.
func (o own) link(s *host.Files, by string) string {
	return filepath.Join(s.Paths.Units, by+".wants", unit.Instance(o.name, by))
}

func (o own) enabled(s *host.Files) bool {
	return !slices.ContainsFunc(o.by, func(by string) bool {
		target, err := os.Readlink(o.link(s, by))
		return err != nil || target != s.Units.Path(o.name)
	})
}

// step is what applying want would do to o. One that runs another version of this program
// stays while that version is there.
func (o own) step(s *host.Files) (*spec.Step, error) {
	have, err := sysfile.ReadIfThere(s.Units.Path(o.name))
	if err != nil {
		return nil, err
	}
	object := "unit " + o.name
	if have == "" {
		return &spec.Step{Action: spec.Add, Object: object}, nil
	}
	runs := unit.ProgramOf(have)
	text, err := o.text(runs)
	if err != nil {
		return nil, err
	}
	detail := ""
	switch {
	case runs == "":
		detail = "somebody changed it"
	case text != have:
		detail = changedBy(runs)
	default:
		if detail = unit.Lacks(runs); detail == "" && !o.enabled(s) {
			detail = "disabled -> enabled"
		}
	}
	if detail == "" {
		return nil, nil
	}
	return &spec.Step{Action: spec.Change, Object: object, Detail: detail}, nil
}

// changedBy says whose a unit's text is that is not what this program writes. The program
// of another version had a text of its own for its unit.
func changedBy(runs string) string {
	if self, err := unit.OwnProgram(); err == nil && runs != self && sysfile.Exists(runs) {
		return "another version of flock wrote it, or somebody changed it"
	}
	return "somebody changed it"
}

// Steps is what applying want would do to the units. There are none without systemd.
func Steps(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	if want.Empty() || !s.Units.HasSystemd() {
		return nil, nil
	}
	var out []spec.Step
	for _, o := range slices.Backward(owns) {
		step, err := o.step(s)
		if err != nil {
			return nil, err
		}
		if step != nil {
			out = append(out, *step)
		}
	}
	return out, nil
}

// there says whether a path exists, if only as a link to nothing.
func there(path string) bool { _, err := os.Lstat(path); return err == nil }

// traces says whether something of o is left.
func (o own) traces(s *host.Files) bool {
	return there(s.Units.Path(o.name)) || slices.ContainsFunc(o.by, func(by string) bool { return there(o.link(s, by)) })
}

// pattern is what systemctl finds o's units by: as a pattern it takes none for missing.
func (o own) pattern() string {
	return strings.NewReplacer("flock", "[f]lock", "@", "@*").Replace(o.name)
}

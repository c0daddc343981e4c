//go:build linux

package startup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

var anything = &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}

// server is one with an init that is systemd, as far as its files go, if systemd.
func server(t *testing.T, systemd bool) *host.Files {
	t.Helper()
	dir := t.TempDir()
	p := host.Paths{
		Lib: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run"), Units: filepath.Join(dir, "units"), Systemd: filepath.Join(dir, "systemd"),
	}
	made := []string{p.Units}
	if systemd {
		made = append(made, p.Systemd)
	}
	for _, d := range made {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return host.FilesAt("test", p)
}

func expect(t *testing.T, s *host.Files, what string, want ...string) {
	t.Helper()
	steps, err := Steps(s, anything)
	var have []string
	for _, step := range steps {
		have = append(have, step.String())
	}
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("%s: want %q, have %q, %v", what, want, have, err)
	}
}

// Each unit is planned, made, mended and removed as the others are; nothing is there
// without systemd, or without a network.
func TestEveryUnitIsPlannedMadeAndRemoved(t *testing.T) {
	s := server(t, false)
	expect(t, s, "without systemd")
	if err := Ensure(t.Context(), s); err != nil || sysfile.Exists(s.Units.Path(unit.Boot)) {
		t.Errorf("without systemd: %v", err)
	}
	s = server(t, true)
	expect(t, s, "nothing there", "+ unit flock-boot.service", "+ unit flock-early.service", "+ unit flock-rules@.service")
	for _, o := range owns {
		if o.traces(s) {
			t.Errorf("looking made %s", o.name)
		}
	}
	if steps, err := Steps(s, &spec.Host{}); err != nil || len(steps) > 0 {
		t.Errorf("no networks: %v, %v", steps, err)
	}
	ensure := func(what string) {
		t.Helper()
		if err := Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		expect(t, s, what)
	}
	ensure("whole")
	self, err := unit.OwnProgram()
	if err != nil {
		t.Fatal(err)
	}
	another := filepath.Join(filepath.Dir(filepath.Dir(self)), "startup-another", "flock")
	if err := errors.Join(os.MkdirAll(filepath.Dir(another), 0o755), os.WriteFile(another, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(filepath.Dir(another))
	for _, o := range owns {
		path := s.Units.Path(o.name)
		if err := os.Remove(o.link(s, o.by[len(o.by)-1])); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "a link is gone", "~ unit "+o.name+": disabled -> enabled")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "the file is gone", "+ unit "+o.name)
		ensure("made again")
		for step, program := range map[string]string{
			"": another, // another version, still there
			"~ unit " + o.name + ": its program is gone":             "/usr/local/lib/flock/0/flock",
			"~ unit " + o.name + ": its program may not run":         "/etc/passwd",
			"~ unit " + o.name + ": its program is in another place": "/bin/sh",
		} {
			text, err := o.text(program)
			if err != nil {
				t.Fatal(err)
			}
			if err := sysfile.Write(path, text, 0o644, false); err != nil {
				t.Fatal(err)
			}
			expect(t, s, program, slices.DeleteFunc([]string{step}, func(s string) bool { return s == "" })...)
		}
		if err := sysfile.Write(path, "[Unit]\n", 0o644, false); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "edited", "~ unit "+o.name+": somebody changed it")
		if err := errors.Join(os.Remove(path), Ensure(t.Context(), s)); err != nil {
			t.Fatal(err)
		}
	}

	foreign := filepath.Join(s.Paths.Units, "ufw.service.wants", "mine.service")
	if err := sysfile.Write(foreign, "", 0o644, false); err != nil {
		t.Fatal(err)
	}
	if err := Tidy(s); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Paths.Units, "*", "*"))
	if err != nil || !slices.Equal(left, []string{foreign}) || slices.ContainsFunc(owns, func(o own) bool { return o.traces(s) }) {
		t.Errorf("left: %v, %v", left, err)
	}
	if sysfile.Exists(filepath.Join(s.Paths.Units, "docker.service.wants")) {
		t.Error("an empty directory of ours is left")
	}
}

// A unit with another text, by the program of another version, may be as that version wrote
// it; one with this program is not.
func TestUnitsOfAnotherVersionAreNamed(t *testing.T) {
	s := server(t, true)
	self, err := unit.OwnProgram()
	if err == nil {
		err = Ensure(t.Context(), s)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range owns {
		for program, says := range map[string]string{
			self:                           "somebody changed it",
			"/usr/local/lib/flock/0/flock": "somebody changed it", // it is gone, and says nothing
			"/bin/sh":                      "another version of flock wrote it, or somebody changed it",
		} {
			text, err := o.text(program)
			if err == nil {
				err = sysfile.Write(s.Units.Path(o.name), text+"# more\n", 0o644, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			expect(t, s, program, "~ unit "+o.name+": "+says)
		}
		if err := errors.Join(os.Remove(s.Units.Path(o.name)), Ensure(t.Context(), s)); err != nil {
			t.Fatal(err)
		}
	}
}

// The units run this very program, each its own part, within what systemd grants; they are
// written once.
func TestUnitsRunThisProgram(t *testing.T) {
	s := server(t, true)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for name, has := range map[string][]string{
		"multi-user.target.wants/flock-boot.service":  {"ExecStart=" + self + " agent boot\n", fmt.Sprintf("TimeoutStartSec=%d\n", int(BootLimit.Seconds()))},
		"multi-user.target.wants/flock-early.service": {"ExecStart=" + self + " agent boot --early\n", fmt.Sprintf("TimeoutStartSec=%d\n", int(EarlyLimit.Seconds()))},
		"docker.service.wants/flock-rules@docker.service": {
			"ExecStart=-" + self + " agent boot --rules\n", "ExecReload=" + self + " agent boot --rules\n",
			"\nReloadPropagatedFrom=%i.service\n", fmt.Sprintf("TimeoutStartSec=%d\n", int(RulesLimit.Seconds())),
		},
	} {
		text, err := os.ReadFile(filepath.Join(s.Paths.Units, name))
		for _, line := range has {
			if err != nil || !strings.Contains(string(text), line) {
				t.Errorf("%s lacks %q: %v", name, line, err)
			}
		}
	}
	before, err := os.Stat(s.Units.Path(unit.Boot))
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(s.Units.Path(unit.Boot)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the unit was written again, %v", err)
	}
}

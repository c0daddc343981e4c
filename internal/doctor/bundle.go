package doctor

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// What may be a secret in text that somebody else wrote: keys in PEM, values with a name that says
// so, and passwords in addresses. Flock's own messages and files have none.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(-----END [A-Z0-9 ]*PRIVATE KEY-----)?`),
	regexp.MustCompile(`(?i)((?:private|preshared|pre-shared|shared)[_-]?key|psk|passw(?:or)?d|passphrase|secret|token)(\\?["']?\s*[=: ]\s*\\?["']?)[^\s"'\\,}]+`),
	regexp.MustCompile(`(://[^/\s:@]+:)[^/\s@]+@`),
}

// Redact takes out of text what may be a secret.
func Redact(text string) string {
	text = secrets[0].ReplaceAllString(text, "(a private key was here)")
	text = secrets[1].ReplaceAllString(text, "$1$2(removed)")
	return secrets[2].ReplaceAllString(text, "$1(removed)@")
}

// Bundle is a file for a report about a fault.
type Bundle struct {
	Facts    *Facts
	Findings []Finding
	Absent   map[string]string // why servers did not answer
	Version  string            // of flock
	File     string            // the cluster file
	Time     time.Time
}

// Write writes a tar archive, compressed by gzip, without secrets.
func (b Bundle) Write(w io.Writer) error {
	var names []string
	for name := range b.Absent {
		names = append(names, name)
	}
	plans, status, versions := map[string]*spec.Plan{}, map[string]string{}, map[string]string{"flock": b.Version}
	for _, s := range b.Facts.Servers {
		plans[s.Name], status[s.Name] = s.Plan, "converged"
		if s.Plan != nil && len(s.Plan.Problems) > 0 {
			status[s.Name] = "refused"
		} else if s.Plan != nil && len(s.Plan.Steps) > 0 {
			status[s.Name] = fmt.Sprintf("differs in %d steps", len(s.Plan.Steps))
		}
		versions[s.Name] = "kernel " + s.Facts.Kernel + ", agent " + s.Facts.Agent
	}
	for name, why := range b.Absent {
		status[name] = "no answer: " + why
	}
	slices.Sort(names)
	files := map[string]any{
		"facts.json": b.Facts, "findings.json": DocOf(b.Facts, b.Findings, names), "plan.json": plans, "status.json": status, "versions.json": versions,
		"cluster.toml": b.File,
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, plain := files[name].(string)
		if !plain {
			data, err := json.MarshalIndent(files[name], "", "  ")
			if err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
			text = string(data) + "\n"
		}
		text = Redact(text)
		if err := out.WriteHeader(&tar.Header{Name: "flock-doctor/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: b.Time}); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := io.WriteString(out, text); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// What may be a secret in text that somebody else wrote: keys in PEM, values with a name that says
// so, and passwords in addresses. Flock's own messages and files have none.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`),
	regexp.MustCompile(`(?i)((?:private|preshared|pre-shared|shared)[_-]?key|psk|passw(?:or)?d|passphrase|secret|token)(\\?["']?[ \t]*[=: ][ \t]*)((?s:""".*?"""|'''.*?''')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s][^\n]*)`),
	regexp.MustCompile(`(://[^/\s:@]+:)[^/\s@]+@`),
}

// Redact takes out of text what may be a secret.
func Redact(text string) string {
	text = secrets[0].ReplaceAllString(text, "(a private key was here)")
	text = secrets[1].ReplaceAllString(text, "$1$2(removed)")
	return secrets[2].ReplaceAllString(text, "$1(removed)@")
}

// cleaned is value as JSON, with each text in it as hide leaves it.
func cleaned(value any, hide func(string) string) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	read := json.NewDecoder(bytes.NewReader(data))
	read.UseNumber() // sizes and ids stay as they are
	var plain any
	if err := read.Decode(&plain); err != nil {
		return nil, err
	}
	return json.MarshalIndent(hidden(plain, hide), "", "  ")
}

// hidden is a value of JSON, with each text in it as hide leaves it.
func hidden(value any, hide func(string) string) any {
	switch v := value.(type) {
	case string:
		return hide(v)
	case []any:
		for i := range v {
			v[i] = hidden(v[i], hide)
		}
	case map[string]any:
		for key := range v {
			v[key] = hidden(v[key], hide)
		}
	}
	return value
}

// machines replaces machine ids, which are not to be known on a network (machine-id(5)), by their
// hashes: which are equal can be seen then.
func (b Bundle) machines() *strings.Replacer {
	var ids []string
	add := func(id string) {
		if id != "" {
			sum := sha256.Sum256([]byte(id))
			ids = append(ids, id, "machine-"+hex.EncodeToString(sum[:6]))
		}
	}
	if b.Facts.Cluster != nil {
		for _, s := range b.Facts.Cluster.Servers {
			if s.Facts != nil {
				add(s.Facts.Machine)
			}
		}
	}
	for i := range b.Facts.Servers {
		s := &b.Facts.Servers[i]
		add(s.text("/etc/machine-id"))
		if s.Facts != nil {
			add(s.Facts.Machine)
		}
	}
	return strings.NewReplacer(ids...)
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
	machines := b.machines()
	hide := func(text string) string { return machines.Replace(Redact(text)) }
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, plain := files[name].(string)
		if !plain {
			data, err := cleaned(files[name], hide)
			if err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
			text = string(data) + "\n"
		} else {
			text = hide(text)
		}
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

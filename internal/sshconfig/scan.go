package sshconfig

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/plainfile"
)

// oddity is a line of ssh's config that only OpenSSH can evaluate.
type oddity struct {
	path string
	line int
	what string
}

func (o *oddity) place() string { return fmt.Sprintf("%s:%d", o.path, o.line) }

// entry is a line of ssh's config that flock uses. The lines of each file, included ones
// too, are between a fileBegins and a fileEnds.
type entry struct {
	key, value string // key in lower case
	path       string
	line       int
}

const (
	fileBegins = "{"
	fileEnds   = "}"
)

// keyLine is a keyword and what follows it; simpleLine has only blanks between. Other
// forms that ssh accepts (an equals sign, quotes, a comment after the value) are left to
// ssh.
var (
	keyLine    = regexp.MustCompile(`^([A-Za-z0-9]+)[ \t=]`)
	simpleLine = regexp.MustCompile(`^([A-Za-z0-9]+)[ \t]+([^ \t=].*)$`)
)

// numberForm is what ssh may take for an address in an old notation: 10.1, 0x7f.1.
var numberForm = regexp.MustCompile(`^[0-9][0-9a-fA-FxX.]*$`)

// formed are characters that give a line a syntax beyond words.
const formed = "\"'\\#$\r\f\v\x00"

// simpleTokens are the percent tokens that mean the same in every keyword.
const simpleTokens = "hnprud%"

// maxIncludes is how deep files may include each other, as in ssh.
const maxIncludes = 16

// scan reads the files of one config.
type scan struct {
	home    string
	base    string // what includes are relative to
	depth   int
	entries []entry
}

// scanFile reads the config at path, whose text is data, and the files that it includes,
// relative to base; odd is the first line that flock cannot evaluate, nil if there is
// none.
func scanFile(path string, data []byte, home, base string) (all []entry, odd *oddity) {
	s := &scan{home: home, base: base}
	odd = s.file(path, data)
	return s.entries, odd
}

func (s *scan) file(path string, data []byte) *oddity {
	s.entries = append(s.entries, entry{key: fileBegins})
	for i, line := range bytes.Split(data, []byte("\n")) {
		what, found := s.line(strings.Trim(string(line), " \t"), entry{path: path, line: i + 1})
		if found != nil {
			return found
		}
		if what != "" {
			return &oddity{path, i + 1, what}
		}
	}
	s.entries = append(s.entries, entry{key: fileEnds})
	return nil
}

// line adds a line, which is at e, and says what flock cannot evaluate in it, or in a
// file that it includes.
func (s *scan) line(line string, e entry) (what string, included *oddity) {
	if line == "" || line[0] == '#' {
		return "", nil
	}
	m := keyLine.FindStringSubmatch(line)
	if m == nil {
		return "a form", nil
	}
	e.key = strings.ToLower(m[1])
	switch {
	case e.key == "controlmaster": // in any form: ssh is asked about it (see Starts)
		s.entries = append(s.entries, e)
		return "", nil
	case e.key == "host", e.key == "match", e.key == "include", e.key == "canonicalizehostname", slices.Contains(keywords, e.key):
	default:
		return "", nil // flock does not use this keyword
	}
	m = simpleLine.FindStringSubmatch(line)
	if m == nil || strings.ContainsAny(line, formed) && e.key != "match" {
		return "a form", nil
	}
	e.value = m[2]
	switch e.key {
	case "include":
		return s.include(strings.Fields(e.value))
	case "canonicalizehostname":
		if !strings.EqualFold(e.value, "no") {
			return "CanonicalizeHostname", nil
		}
		return "", nil
	case "match":
	default:
		if e.key != "controlpath" && oddToken(e.value) { // see Control
			return "a token", nil
		}
		if _, err := netip.ParseAddr(e.value); e.key == "hostname" && numberForm.MatchString(e.value) && err != nil {
			return "a number for an address", nil
		}
	}
	s.entries = append(s.entries, e)
	return "", nil
}

// oddToken says whether value has percent tokens that only ssh can expand.
func oddToken(value string) bool {
	for {
		_, rest, found := strings.Cut(value, "%")
		if !found {
			return false
		}
		if rest == "" || !strings.Contains(simpleTokens, rest[:1]) {
			return true
		}
		value = rest[1:]
	}
}

func (s *scan) include(patterns []string) (string, *oddity) {
	if s.depth++; s.depth > maxIncludes {
		return "Include too deep", nil
	}
	defer func() { s.depth-- }()
	for _, pattern := range patterns {
		rest, homely := strings.CutPrefix(pattern, "~/")
		switch {
		case strings.ContainsAny(pattern, "[{%") || homely && os.Getenv("HOME") != s.home || !homely && pattern[0] == '~':
			return "Include by " + pattern, nil
		case homely:
			pattern = filepath.Join(s.home, rest)
		case !filepath.IsAbs(pattern):
			pattern = filepath.Join(s.base, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return "Include by " + pattern, nil
		}
		for _, file := range files {
			data, err := plainfile.Read(file, plainfile.MostConfig)
			if err != nil {
				return "Include of " + file, nil
			}
			if found := s.file(file, data); found != nil {
				return "", found
			}
		}
	}
	return "", nil
}

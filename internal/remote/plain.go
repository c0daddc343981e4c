package remote

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/flocknet/flock/internal/plainfile"
)

// oddity is something in ssh's config that OpenSSH itself has to evaluate.
type oddity struct {
	path string
	line int
	what string
}

func (o *oddity) place() string { return fmt.Sprintf("%s:%d", o.path, o.line) }

// plainLine is a keyword, blanks, and arguments. The other forms that ssh takes (an
// equals sign between, quotes, a comment behind) are its own to read.
var plainLine = regexp.MustCompile(`^([A-Za-z0-9]+)[ \t]+([^ \t=].*)$`)

// plainTokens are the percent tokens that mean the same wherever they may stand.
const plainTokens = "hnprud%"

// maxIncludes is how deep files may include each other, as in ssh.
const maxIncludes = 16

// scan looks through the files of one config.
type scan struct {
	home        string
	depth       int
	ways        string // proxyjump or proxycommand, as named first
	conditional bool   // below a Host line
}

// firstOddity is the first thing in the config at path, and in what it includes, that is
// not plain; nil: there is none.
func firstOddity(path string, data []byte, home string) *oddity {
	return (&scan{home: home}).file(path, data)
}

func (s *scan) file(path string, data []byte) *oddity {
	for i, line := range bytes.Split(data, []byte("\n")) {
		what, found := s.line(strings.Trim(string(line), " \t"))
		if found != nil {
			return found
		}
		if what != "" {
			return &oddity{path, i + 1, what}
		}
	}
	return nil
}

// line says what is not plain in a line, or what is in a file that it includes.
func (s *scan) line(line string) (what string, included *oddity) {
	if line == "" || line[0] == '#' {
		return "", nil
	}
	m := plainLine.FindStringSubmatch(line)
	if m == nil || strings.ContainsAny(line, "\"'\\#$\r\f\v") {
		return "a form", nil
	}
	key, value := strings.ToLower(m[1]), m[2]
	switch key {
	case "match":
		return "Match", nil
	case "include":
		return s.include(strings.Fields(value))
	case "host":
		s.conditional = true
	case "canonicalizehostname":
		if !strings.EqualFold(value, "no") {
			return "CanonicalizeHostname", nil
		}
	case "proxyjump", "proxycommand":
		if s.ways != "" && s.ways != key {
			return "ProxyJump beside ProxyCommand", nil
		}
		s.ways = key
	}
	for i := strings.IndexByte(value, '%'); i >= 0 && i < len(value); {
		if i+1 == len(value) || !strings.Contains(plainTokens, value[i+1:i+2]) {
			return "a token", nil
		}
		next := strings.IndexByte(value[i+2:], '%')
		if next < 0 {
			break
		}
		i += 2 + next
	}
	return "", nil
}

func (s *scan) include(patterns []string) (string, *oddity) {
	if s.conditional {
		return "Include below Host", nil
	}
	if s.depth++; s.depth > maxIncludes {
		return "Include too deep", nil
	}
	defer func() { s.depth-- }()
	for _, pattern := range patterns {
		rest, homely := strings.CutPrefix(pattern, "~/")
		if homely {
			pattern = filepath.Join(s.home, rest)
		}
		if homely && os.Getenv("HOME") != s.home || !filepath.IsAbs(pattern) {
			return "Include by " + pattern, nil
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
			s.conditional = false // a Host line reaches to the end of its file
		}
	}
	return "", nil
}

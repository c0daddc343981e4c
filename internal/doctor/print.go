package doctor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/screen"
)

// Doc is a diagnosis as JSON has it.
type Doc struct {
	Servers  []docServer  `json:"servers"`
	Findings []docFinding `json:"findings"`
	Absent   []string     `json:"absent,omitempty"`
}

type docServer struct {
	Name   string   `json:"name"`
	Kernel string   `json:"kernel"`
	Agent  string   `json:"agent"`
	Lacks  []string `json:"cannot_make,omitempty"` // kinds of devices
	Clock  float64  `json:"clock_seconds"`         // ahead of the workstation's
}

type docFinding struct {
	Server string `json:"server,omitempty"` // none: the workstation
	Check  string `json:"check"`
	Object string `json:"object,omitempty"` // of the server; with it and the check it stays the same
	What   string `json:"what"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
	Next   string `json:"next"`
	Safe   bool   `json:"safe"`
}

// DocOf is what was found, with the servers that did not answer.
func DocOf(f *Facts, found []Finding, absent []string) Doc {
	d := Doc{Servers: []docServer{}, Findings: []docFinding{}, Absent: absent}
	for _, s := range f.Servers {
		d.Servers = append(d.Servers, docServer{s.Name, s.Facts.Kernel, s.Facts.Agent, s.Seen.Lacks, s.Skew.Round(time.Millisecond).Seconds()})
	}
	for _, one := range found {
		d.Findings = append(d.Findings, docFinding{one.Server, one.Check, one.Object, one.What, one.Why, one.Fix, one.Next(f), one.Safe})
	}
	return d
}

// Print tells what was found: a line per server, then each finding once, however many servers
// have it.
func Print(w io.Writer, width int, f *Facts, found []Finding) error {
	t := &screen.Table{Head: []string{"SERVER", "KERNEL", "CANNOT MAKE", "FINDINGS"}}
	for _, s := range f.Servers {
		n := 0
		for _, one := range found {
			if one.Server == s.Name {
				n++
			}
		}
		t.Add(s.Name, s.Facts.Kernel, strings.Join(s.Seen.Lacks, " "), fmt.Sprint(n))
	}
	if err := t.Write(w, width); err != nil {
		return err
	}
	for _, same := range alike(found) {
		if err := tell(w, f, same); err != nil {
			return err
		}
	}
	return nil
}

// nextMost is how many next: lines a finding has that many servers have.
const nextMost = 5

func tell(w io.Writer, f *Facts, same []Finding) error {
	var names, next []string
	for _, one := range same {
		names = append(names, cmp.Or(one.Server, "workstation"))
		if line := one.Next(f); !slices.Contains(next, line) {
			next = append(next, line)
		}
	}
	if err := screen.Print(w, "\n%s: %s\n  %s\n", strings.Join(names, ", "), same[0].What, same[0].Why); err != nil {
		return err
	}
	for i, line := range next {
		if i == nextMost {
			return screen.Print(w, "  and so on %d others\n", len(next)-nextMost)
		}
		if err := screen.Print(w, "  next: %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// alike are findings that differ in nothing but the server, in the order of the first of each.
func alike(found []Finding) [][]Finding {
	var out [][]Finding
	for _, one := range found {
		key := one
		key.Server = ""
		i := slices.IndexFunc(out, func(same []Finding) bool {
			other := same[0]
			other.Server = ""
			return other == key && same[0].Server != "" && one.Server != ""
		})
		if i < 0 {
			out = append(out, []Finding{one})
		} else {
			out[i] = append(out[i], one)
		}
	}
	return out
}

// Safe are the findings that --fix mends.
func Safe(found []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return !f.Safe })
}

// Plan are the lines that --fix runs, each with where.
func Plan(found []Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, cmp.Or(f.Server, "workstation")+": "+f.Fix)
	}
	return out
}

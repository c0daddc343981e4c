package sshconfig

import (
	"cmp"
	"slices"
	"strings"
)

// reading is the evaluation of a config for one host: line by line, in ssh's order; for
// each keyword the first value counts.
type reading struct {
	alias string
	host  string // what Host lines are compared with: the alias, in the final pass the HostName
	out   options
	port  uint16 // of the command line; 0: none
	final bool   // this is the second pass, which a Match final causes
	again bool   // there is such a Match
	holds func(command string) (holds, sure bool)
}

// read evaluates a config for d; odd is the first applicable line that only ssh can
// evaluate, nil if there is none. holds runs the command of a Match exec.
func read(entries []entry, d Destination, holds func(command string) (holds, sure bool)) (out options, odd *oddity) {
	r := &reading{alias: d.Alias, host: d.Alias, out: options{}, port: d.Port, holds: holds}
	if d.User != "" {
		r.out["user"] = []string{d.User}
	}
	if odd := r.pass(entries); odd != nil || !r.again {
		return r.out, odd
	}
	name, ok := r.hostName()
	if !ok {
		return nil, &oddity{entries[0].path, 1, "a HostName with percent signs beside Match final"}
	}
	name = asAddress(name, r.out.get("addressfamily"))
	r.final, r.host = true, name
	r.out["hostname"] = []string{strings.ReplaceAll(name, "%", "%%")} // fe80::1%eth0 has no tokens
	return r.out, r.pass(entries)
}

// pass reads the config once.
func (r *reading) pass(entries []entry) *oddity {
	active, never := true, false // never: within an Include that does not apply
	var outer [][2]bool
	for _, e := range entries {
		switch e.key {
		case fileBegins:
			outer = append(outer, [2]bool{active, never})
			never = never || !active
		case fileEnds:
			active, never = outer[len(outer)-1][0], outer[len(outer)-1][1]
			outer = outer[:len(outer)-1]
		case "host":
			active = !never && r.hosts(strings.Fields(e.value))
		case "match":
			holds, sure := r.match(e.value)
			if !sure {
				return &oddity{e.path, e.line, "Match"}
			}
			active = holds && !never
		default:
			if active {
				r.take(e.key, e.value)
			}
		}
	}
	return nil
}

func (r *reading) take(key, value string) {
	jump := r.out.get("proxyjump")
	switch have := r.out[key]; {
	case slices.Contains(several, key):
		if !slices.Contains(have, value) {
			r.out[key] = append(have, value)
		}
	case len(have) > 0:
	case key == "proxycommand" && jump != "" && !strings.EqualFold(jump, "none"): // the one that is named first
	case key == "proxyjump" && r.out.get("proxycommand") != "":
	default:
		r.out[key] = []string{value}
	}
}

// hosts says whether a Host line with these patterns applies.
func (r *reading) hosts(patterns []string) bool {
	about := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if Matches(p, r.host) {
			if negated {
				return false
			}
			about = true
		}
	}
	return about
}

// hostName is the HostName as far as the config was read; ok is false if it has tokens
// that are not expanded here.
func (r *reading) hostName() (name string, ok bool) {
	if r.final {
		return r.host, true
	}
	name = r.out.get("hostname")
	if name == "" {
		return r.alias, true
	}
	name = strings.ReplaceAll(name, "%h", r.alias)
	return name, !strings.Contains(name, "%")
}

// match says whether a Match line applies. sure is false if only ssh can tell: because
// of other criteria, or of words with quotes and the like outside of simple exec
// commands. What follows a criterion that does not hold is not evaluated.
func (r *reading) match(value string) (holds, sure bool) {
	words := matchWords(value)
	holds = true
	for i := 0; i < len(words); i++ {
		word, negated := strings.CutPrefix(strings.ToLower(words[i]), "!")
		var met bool
		switch word {
		case "final", "canonical":
			r.again = r.again || word == "final"
			met = r.final
		case "all":
			alone := i == 0 || i == 1 && strings.ContainsAny(words[0][:1], "fFcC")
			if !alone || i+1 < len(words) {
				return false, false
			}
			met = true
		case "host", "originalhost", "user", "localuser":
			i++
			if i == len(words) || strings.ContainsAny(words[i], formed+"=") {
				return false, false
			}
			var ok bool
			if met, ok = r.meets(word, words[i]); !ok {
				return false, false
			}
		case "exec":
			// A final after it causes a second pass in any case.
			final := slices.ContainsFunc(words[i:], func(w string) bool { return strings.Contains(strings.ToLower(w), "final") })
			if !holds && !final {
				return false, true
			}
			i++
			var ok bool
			if met, ok = r.exec(words[i:], holds); !ok {
				return false, false
			}
		default:
			return false, false
		}
		holds = holds && met != negated
	}
	return holds, len(words) > 0
}

// exec says whether the command at the start of words succeeds. It runs only if the
// criteria before it on its line hold.
func (r *reading) exec(words []string, holds bool) (met, ok bool) {
	if len(words) == 0 {
		return false, false
	}
	command, ok := r.command(words[0])
	if !ok || !holds {
		return false, ok
	}
	return r.holds(command)
}

// meets says whether a criterion with an argument holds.
func (r *reading) meets(criterion, list string) (met, ok bool) {
	switch criterion {
	case "host":
		name, ok := r.hostName()
		return listed(strings.ToLower(list), strings.ToLower(name)), ok
	case "originalhost":
		return listed(strings.ToLower(list), strings.ToLower(r.alias)), true
	case "localuser":
		return listed(list, LocalUser()), true
	}
	name := r.userName()
	return listed(list, name), !strings.ContainsAny(name, "%")
}

// userName is the user who logs in, as far as the config was read.
func (r *reading) userName() string { return cmp.Or(r.out.get("user"), LocalUser()) }

// listed says whether s matches a comma-separated list of patterns; a pattern with an
// exclamation mark excludes what it matches.
func listed(list, s string) bool {
	in := false
	for p := range strings.SplitSeq(list, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if Matches(p, s) {
			if negated {
				return false
			}
			in = true
		}
	}
	return in
}

// Matches says whether s matches a pattern of ssh's, in which * is any text and ? one
// character. It backtracks only to the last star: no pattern takes exponential time.
func Matches(pattern, s string) bool {
	star, from := -1, 0
	p := 0
	for i := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

package sshconfig

import "testing"

func FuzzMatches(f *testing.F) {
	f.Add("*.example.com", "a.example.com")
	f.Add("[10.0.0.?]:2*", "[10.0.0.1]:2222")
	f.Add("a*b*c", "aXbXbc")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 {
			return
		}
		if have, want := Matches(pattern, name), slowMatch(pattern, name); have != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, have, want)
		}
	})
}

// slowMatch says the same in the plainest way.
func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	case name == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == name[0]) && slowMatch(pattern[1:], name[1:])
}

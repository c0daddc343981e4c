package segment

import "testing"

// A network's name is a domain unless it hides one of everybody's.
func TestNamesThatAreDomains(t *testing.T) {
	for name, want := range map[string]bool{
		"wirex": true, "n1": true, "my-net": true, "a.b": true, "1": true, "x2": true,
		"de": false, "Com": false, "my.net": false, "a_b": false, "a.": false, "local": false, "-a": false, "a..b": false, "n.io": false,
	} {
		if isDomain(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

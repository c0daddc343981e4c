package target

import (
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1":            "|10.0.0.1|0",
		"root@10.0.0.1:22":    "root|10.0.0.1|22",
		"s1.example.com":      "|s1.example.com|0",
		"s1.example.com.":     "|s1.example.com.|0",
		"admin@host_1:65535":  "admin|host_1|65535",
		"fd00::1":             "|fd00::1|0",
		"root@[fd00::1]":      "root|fd00::1|0",
		"root@[fd00::1]:2222": "root|fd00::1|2222",
		"[fe80::1%eth0]:22":   "|fe80::1%eth0|22",
		`CORP\admin@10.0.0.1`: `CORP\admin|10.0.0.1|0`,
		"a.b+c-d@h":           "a.b+c-d|h|0",
		"machine$@10.0.0.1":   "machine$|10.0.0.1|0",
	} {
		user, host, port, err := Parse(text)
		if have := user + "|" + host + "|" + strconv.Itoa(int(port)); err != nil || have != want {
			t.Errorf("%q: %s, want %s; %v", text, have, want, err)
		}
	}
	for _, text := range []string{
		"", "@", "root@", "@h", "h:", "h:0", "h:70000", "h:x", "h:+1", "10.0.0.256", "10.0.0", "[fd00::1", "[fd00::1]x", "[fd00::1]:",
		"[10.0.0.1]", "[h]", "fe80::1", "[fe80::1]:22", "a b", "h/x", "-oProxyCommand=x", "root@-h", "a b@h", "-l@h", "0.0.0.0", "::", "ff02::1",
		"224.0.0.1", "h\n", strings.Repeat("h", 254), "1:2:3",
	} {
		_, _, _, err := Parse(text)
		if err == nil {
			t.Errorf("%q passes", text)
			continue
		}
		if _, next := hint.Of(err); next == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, next %q", text, err, next)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"root@[fd00::1]:22", "h", "a@b:1", "fe80::1%eth0", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		user, host, port, err := Parse(s)
		if err != nil {
			return
		}
		text := Format(user, host, port)
		u, h, p, err := Parse(text)
		if err != nil || u != user || h != host || p != port {
			t.Fatalf("%q gives %q %q %d, which as %q gives %q %q %d, %v", s, user, host, port, text, u, h, p, err)
		}
		if host == "" || host[0] == '-' || strings.ContainsAny(host+user, " \t\n\x00'\"") || SafeHost(host) != nil || user != "" && SafeUser(user) != nil {
			t.Fatalf("%q gives user %q, host %q", s, user, host)
		}
	})
}

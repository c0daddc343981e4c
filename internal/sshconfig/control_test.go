package sshconfig

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestControl: the socket is where ssh -G has it, if the path is of one account alone.
func TestControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	for _, test := range []struct {
		config string
		used   bool
	}{
		{"Host *\n User bob\n", false},
		{"Host *\n ControlPath none\n User bob\n", false},
		{"Host *\n ControlPath ~/.ssh/%r@%h:%p\n", true},
		{"Host *\n ControlPath ~/.ssh/%r@%n:%p\n", true},
		{"Host *\n ControlPath /run/%C\n", true},
		{"Host *\n ControlPath /run/%l-%C\nHost web\n ControlPath none\n", true},
		{"Host web\n ControlPath none\nHost *\n ControlPath /run/%C\n", false},
		{"Host *\n ControlPath /run/one\n", false},
		{"Host *\n ControlPath /run/%h-%p\n", false},
		{"Host *\n ControlPath /run/%r-%p\n", false},
		{"Host *\n ControlPath /run/carl/2222/%h\n", false}, // what the account is called is no sign of it
		{"CanonicalizeHostname always\nHost *\n ControlPath /run/%r@%h:%p\n", false},
		{"Host *\n ControlPath /run/%r@%h:%p\n ProxyJump bastion\n", false},
		{"Host *\n ControlPath /run/%r@%n:%p\n ProxyJump bastion\n", true},
		{"Host *\n ControlPath /run/%r@%h:%p\n ProxyCommand nc %h %p\n", false},
		{"Host *\n ControlPath /run/%C\n ProxyCommand nc %h %p\n", false},
		{"Host *\n ControlPath /run/%r@%n:%p\n ProxyCommand nc %h %p\n", true},
	} {
		writeText(t, path, test.config)
		c, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		have := c.Control(t.Context(), Destination{Alias: "web", User: "carl", Port: 2222})
		if !test.used {
			if have != "" {
				t.Errorf("%q: have %s", test.config, have)
			}
			continue
		}
		out, err := exec.CommandContext(t.Context(), "ssh", "-F", path, "-G", "-l", "carl", "-p", "2222", "web").Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "\ncontrolpath "+have+"\n") || have == "" {
			t.Errorf("%q: have %q, ssh has\n%s", test.config, have, out)
		}
	}
}

// TestControlByWayOf: two servers of one address behind two jump hosts never share a socket.
func TestControlByWayOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	for _, control := range []string{"/run/%r@%h:%p", "/run/%r@%n:%p", "/run/%C", "/run/%h%p%r%k"} {
		writeText(t, path, "Host *\n ControlPath "+control+"\n")
		c, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		a := c.Control(t.Context(), Destination{Alias: "10.0.0.5", User: "root", Jump: "site-a"})
		b := c.Control(t.Context(), Destination{Alias: "10.0.0.5", User: "root", Jump: "site-b"})
		if a != "" && a == b {
			t.Errorf("%s: both have %s", control, a)
		}
	}
}

// TestStarts: as the configuration has it, not as the presence of a word has it.
func TestStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	for config, want := range map[string]bool{
		"Host *\n ControlMaster auto\n ControlPersist 10m\n":                          true,
		"Host *\n ControlMaster yes\n ControlPersist yes\n":                           true,
		"Host *\n ControlMaster=auto\n ControlPersist=0\n":                            true,
		"Host *\n ControlMaster auto\n":                                               false, // ends with the command
		"Host *\n ControlMaster auto\n ControlPersist no\n":                           false,
		"Host *\n ControlMaster autoask\n ControlPersist 10m\n":                       false,
		"Host *\n ControlMaster no\n ControlPersist 10m\n":                            false,
		"Host *\n ControlPersist 10m\n":                                               false,
		"Host db\n ControlMaster auto\nHost *\n ControlPersist 10m\n":                 false,
		"Host web\n ControlMaster no\nHost *\n ControlMaster auto\n ControlPersist 1": false,
	} {
		writeText(t, path, config)
		c, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if have := c.Starts(t.Context(), Destination{Alias: "web", User: "carl"}); have != want {
			t.Errorf("%q: have %v", config, have)
		}
		if asked := len(c.asked.answers) > 0; asked != strings.Contains(config, "ControlMaster") {
			t.Errorf("%q: ssh was asked: %v", config, asked)
		}
	}
}

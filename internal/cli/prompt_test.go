package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

// takes is bgpThree with everything that commands can take away.
const takes = bgpThree + `
[network.gre-s1-s2]
type = "gre"
members = ["s1", "s2"]
[network.wirex]
type = "wireguard"
lead = "s1"
members = ["s1", "s2"]
shares = ["s2:10.0.20.0/24"]
[server.s4]
address = "10.99.0.4"
subnet = "10.78.0.1/24"
`

// TestNobodyToAsk: without a terminal, what takes something away needs --yes; without
// it nothing is contacted and the file stays. What is to be pasted then works.
func TestNobodyToAsk(t *testing.T) {
	for _, args := range []string{
		"removenetwork vx1",
		"removenetwork gre-s1-s2",
		"delnetwork vx1 s2",
		"delnetwork wirex client s2",
		"delnetwork wirex subnet s2:10.0.20.0/24",
		"deltunnel gre-s1-s2",
		"removebgp bnet",
		"delbgp bnet server s2",
		"delbgp bnet network s1:10.0.10.0/24",
		"delbgp bnet external s1 10.99.0.254",
		"delserver s3",
		"delserver s2 --force",
		"purge s1",
		"purge root@10.99.0.9",
		"rollback 1",
		"setsubnet s4 none",
		"setsubnet s4 10.77.0.0/24",
		"apply -f FILE",
	} {
		t.Run(args, func(t *testing.T) {
			b := newBench(t, takes)
			if err := os.Mkdir(filepath.Join(b.dir, "c.history"), 0o700); err != nil {
				t.Fatal(err)
			}
			b.write("c.history/000001.toml", "schema = 1\ngeneration = 1\n")
			args = strings.Replace(args, "FILE", b.write("two servers.toml", "[server.s1]\naddress = \"10.99.0.1\"\n"), 1)
			words := strings.Split(strings.Replace(args, "two servers", "two\x00servers", 1), " ")
			for i := range words {
				words[i] = strings.Replace(words[i], "\x00", " ", 1)
			}
			before, err := os.ReadFile(filepath.Join(b.dir, "c.toml"))
			if err != nil {
				t.Fatal(err)
			}
			if code := b.run(words...); code != command.ExitUsage || b.engine.contacts > 0 || b.out.Len() > 0 {
				t.Errorf("exit status %d, %d contacts, stdout %q", code, b.engine.contacts, b.out.String())
			}
			after, err := os.ReadFile(filepath.Join(b.dir, "c.toml"))
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the cluster file changed (%v)", err)
			}
			want := "next:  " + command.ShellLine(append(words, "--yes")) + "\n"
			if !strings.Contains(b.err.String(), "there is no terminal to ask on\n") || !strings.HasSuffix(b.err.String(), want) {
				t.Errorf("want %q, have\n%s", want, b.err.String())
			}
			if code := b.run(append(words, "--dry-run")...); code == command.ExitUsage && words[0] != "purge" {
				t.Errorf("a dry run asks nothing, have\n%s", b.err.String())
			}
			if code := b.run(append(words, "--yes")...); code != command.ExitDone {
				t.Errorf("with --yes: exit status %d\n%s", code, b.err.String())
			}
		})
	}
}

// TestNothingTakenAwayIsNotAsked: a file that only adds needs no word.
func TestNothingTakenAwayIsNotAsked(t *testing.T) {
	b := newBench(t, three)
	file := b.write("more.toml", three+"[server.s4]\naddress = \"10.99.0.4\"\n")
	if code := b.run("apply", "-f", file); code != command.ExitDone {
		t.Errorf("exit status %d\n%s", code, b.err.String())
	}
	fewer := b.write("fewer.toml", strings.Replace(three, `"s1", "s2:eth1"`, `"s1"`, 1))
	if code := b.run("apply", "-f", fewer); code != command.ExitUsage || !strings.Contains(b.err.String(), "s2 from vx1") {
		t.Errorf("a member leaves: exit status %d\n%s", code, b.err.String())
	}
}

// TestBadInputBeforeTheQuestion: what cannot be is said first.
func TestBadInputBeforeTheQuestion(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("delserver", "vx1"); code != command.ExitUsage || !strings.Contains(b.err.String(), "that is a network") {
		t.Errorf("exit status %d\n%s", code, b.err.String())
	}
}

func TestShellLine(t *testing.T) {
	for want, args := range map[string][]string{
		"flock apply -f a.toml":      {"apply", "-f", "a.toml"},
		`flock apply -f 'a b.toml'`:  {"apply", "-f", "a b.toml"},
		`flock '' 'it'\''s' '$x'`:    {"", "it's", "$x"},
		"flock purge 's1:[fd00::1]'": {"purge", "s1:[fd00::1]"},
	} {
		if have := command.ShellLine(args); have != want {
			t.Errorf("want %s, have %s", want, have)
		}
	}
}

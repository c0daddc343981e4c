package target

import "testing"

// TestSafeIsOpenSSHs: what may be put into a command is what OpenSSH 9.6 and later lets
// through (ssh.c, valid_hostname and valid_ruser).
func TestSafeIsOpenSSHs(t *testing.T) {
	for name, want := range map[string]struct{ host, user bool }{
		"h": {true, true}, "host_1.example.com": {true, true}, "fe80::1%eth0": {true, true}, "a*b": {true, true}, "a@b": {true, true},
		"": {}, "-h": {}, "a'b": {}, "a`b`": {}, `a"b`: {}, "$(id)": {}, "a;b": {}, "a&b": {}, "a<b": {}, "a>b": {}, "a|b": {}, "a(b": {}, "a{b}": {}, "a,b": {user: true},
		"a$b": {user: true}, `CORP\u`: {user: true}, `a\`: {}, "a b": {user: true}, "a -b": {}, "a\nb": {}, "a\tb": {}, "a\x1bb": {}, "a\x00b": {}, "a\u202eb": {true, true}, "a\u0085b": {}, "\xff": {},
	} {
		if have := SafeHost(name) == nil; have != want.host {
			t.Errorf("host %q: %v", name, have)
		}
		if have := SafeUser(name) == nil; have != want.user {
			t.Errorf("user %q: %v", name, have)
		}
	}
}

// TestWhatIsParsedIsSafe: what flags and files may say is safe to put into a command.
func TestWhatIsParsedIsSafe(t *testing.T) {
	for _, text := range []string{"root@10.0.0.1:22", `CORP\admin@h`, "machine$@h", "u@[fe80::1%eth0]", "a_b.c"} {
		user, host, _, err := Parse(text)
		if err != nil || SafeHost(host) != nil || user != "" && SafeUser(user) != nil {
			t.Errorf("%q: %v, %v, %v", text, err, SafeHost(host), SafeUser(user))
		}
	}
	for _, text := range []string{"", "h,", ",h", "a b", "$(id)", "u`id`@h", "-oX=y", "h:0"} {
		if CheckJump(text) == nil {
			t.Errorf("jump %q passes", text)
		}
	}
	for _, text := range []string{"none", "root@b:22,h2", "ssh://u@b:22/", "b, c"} {
		if err := CheckJump(text); err != nil {
			t.Errorf("jump %q: %v", text, err)
		}
	}
	for _, text := range []string{"", "a\nb", "-i", "a\x00"} {
		if CheckIdentity(text) == nil {
			t.Errorf("key file %q passes", text)
		}
	}
	for _, text := range []string{"/root/.ssh/id with blanks'", "~/.ssh/id", "~user/id", "${HOME}/id"} {
		if err := CheckIdentity(text); err != nil {
			t.Errorf("key file %q: %v", text, err)
		}
	}
}

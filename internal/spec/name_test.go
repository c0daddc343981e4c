package spec

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"s1", "S1", "web-1.example.com", "a_b", "0", "a.", "a-", strings.Repeat("a", NameMax)} {
		if err := CheckName("server", good); err != nil {
			t.Errorf("CheckName(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "_a", "a/b", "a b", "a:b", "a\n", "ü", "a%b", "..", "a@b", "a[b", "a`b", strings.Repeat("a", NameMax+1)} {
		if CheckName("server", bad) == nil {
			t.Errorf("CheckName(%q) took it", bad)
		}
	}
}

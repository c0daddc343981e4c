package seed

import (
	"fmt"
	"strings"
	"testing"
)

// logged is a test that keeps what it is told.
type logged struct{ log, fatal string }

func (*logged) Helper()                             {}
func (l *logged) Logf(format string, args ...any)   { l.log += fmt.Sprintf(format, args...) }
func (l *logged) Fatalf(format string, args ...any) { l.fatal += fmt.Sprintf(format, args...) }

// TestARunCanBeRepeated, by what it logged.
func TestARunCanBeRepeated(t *testing.T) {
	t.Setenv(Env, "")
	var first, second, third logged
	numbers := Bytes(New(&first), 100)
	name, value, found := strings.Cut(strings.TrimPrefix(first.log, "repeat with "), "=")
	if !found {
		t.Fatalf("logged %q", first.log)
	}
	if again := Bytes(New(&second), 100); string(again) == string(numbers) || first.log == second.log {
		t.Errorf("two runs have the same numbers: %q, %q", first.log, second.log)
	}
	t.Setenv(name, value)
	if again := Bytes(New(&third), 100); string(again) != string(numbers) || first.log != third.log {
		t.Errorf("%s gives other numbers than the run that logged it", first.log)
	}
	t.Setenv(Env, "yesterday")
	if New(&third); !strings.Contains(third.fatal, Env) {
		t.Errorf("a seed that is no number: %q", third.fatal)
	}
}

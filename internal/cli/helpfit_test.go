package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flocknet/flock/internal/screen"
)

// Help fits a terminal, and says the same.
func TestHelpFits(t *testing.T) {
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{80, 60} {
			have := screen.FoldText(string(text), width)
			if want, have := strings.Join(strings.Fields(string(text)), " "), strings.Join(strings.Fields(have), " "); want != have {
				t.Errorf("%s, %d columns: other words:\n%s", file, width, have)
			}
			for line := range strings.Lines(have) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > width && width == 80 && !strings.HasPrefix(line, "  flock ") {
					t.Errorf("%s: %d columns: %s", file, n, line)
				}
			}
		}
		if have := screen.FoldText(string(text), 200); have != string(text) {
			t.Errorf("%s is changed where it fits:\n%s", file, have)
		}
	}
}

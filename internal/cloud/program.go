package cloud

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// programWithin is how long a cloud's own program has to print credentials: it may ask its
// cloud, and it asks nobody at the terminal.
const programWithin = 30 * time.Second

// printed is what a cloud's own program prints of credentials. Its error has advice; of is what
// the cloud is called.
func printed(ctx context.Context, within time.Duration, of, advice string, argv ...string) ([]byte, error) {
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, hint.Errorf("", advice, "no credentials for %s were found on this workstation", of)
	}
	ctx, end := context.WithTimeout(ctx, within)
	defer end()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // words of ours, and a profile, which option checked
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second // what it started may hold its output open
	if err := cmd.Run(); err != nil {
		why := cmp.Or(lastLine(said.String()), err.Error())
		if ctx.Err() != nil {
			why = fmt.Sprintf("it did not end within %s", within)
		}
		return nil, hint.Errorf("", advice, "no credentials for %s: %s: %s", of, strings.Join(argv[:min(3, len(argv))], " "), why)
	}
	return out.Bytes(), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/remote"
)

// codeRow is a code in docs/json.md with its exit statuses.
var codeRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([0-9, ]+) \\|")

// Each code that docs/json.md lists comes from a command, with an exit status that stands there, in
// JSON and with --verbose; and no other code is there.
func TestCodes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	statuses, listed := map[contract.Code]string{}, []contract.Code{}
	for _, row := range codeRow.FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, contract.Code(row[1]))
		statuses[contract.Code(row[1])] = row[2]
	}
	if !slices.Equal(listed, contract.Codes()) {
		t.Errorf("docs/json.md lists %v, there are %v", listed, contract.Codes())
	}
	lost := func(cause error) error { return fmt.Errorf("s1: %w", cause) }
	seen := map[contract.Code]bool{}
	for _, test := range []struct {
		args, file, answers string
		err                 error // of the engine
		touched             bool
		interrupted         bool
		code                contract.Code
		status              int
	}{
		{args: "addserver", code: contract.BadInput, status: 2},
		{args: "createnetwerk vx2", code: contract.BadInput, status: 2},
		{args: "listservers --nosuchflag", code: contract.BadInput, status: 2},
		{args: "createnetwork vx2 vxlan -v 0", code: contract.BadInput, status: 2},
		{args: "addnetwork vx9 s1", code: contract.NotFound, status: 2},
		{args: "listservers s9", code: contract.NotFound, status: 2},
		{args: "status x9", code: contract.NotFound, status: 2},
		{args: "rollback 99", code: contract.NotFound, status: 2},
		{args: "listnet s1:c9", code: contract.NotFound, status: 1},
		{args: "removenetwork vx1", code: contract.NeedsYes, status: 2},
		{args: "removenetwork vx1", answers: "n\n", code: contract.Declined, status: 1},
		{args: "listservers", file: "schema = 1\nx y", code: contract.BadFile, status: 2},
		{args: "listservers", file: "schema = 99\n", code: contract.NewerFormat, status: 2},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrConfig), code: contract.BadSSHConfig, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrUnreachable), code: contract.Unreachable, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrUnreachable), touched: true, code: contract.Unreachable, status: 3},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrHostKeyUnknown), code: contract.HostKeyUnknown, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrHostKeyChanged), code: contract.HostKeyChanged, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrAuth), code: contract.LoginRefused, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrSudo), code: contract.SudoRefused, status: 1},
		{args: "addnetwork vx1 s3", err: lost(remote.ErrAgent), code: contract.AgentFailed, status: 1},
		{args: "addnetwork vx1 s3", err: lost(change.ErrRefused), code: contract.Refused, status: 1},
		{args: "addnetwork vx1 s3", err: errors.New("no"), touched: true, code: contract.Partial, status: 3},
		{args: "addnetwork vx1 s3", err: lost(context.Canceled), interrupted: true, code: contract.Interrupted, status: 1},
		{args: "addnetwork vx1 s3", err: errors.New("no"), code: contract.Failed, status: 1},
	} {
		b := newBench(t, three)
		if test.file != "" {
			b.write("c.toml", test.file)
		}
		b.answers, b.interrupted, b.engine.err, b.engine.touches = test.answers, test.interrupted, test.err, test.touched
		var doc struct {
			Format int
			Error  contract.Problem
		}
		status := b.run(append(strings.Fields(test.args), "-o", "json", "--verbose")...)
		if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil || doc.Format != contract.Format || doc.Error.Code != test.code || status != test.status {
			t.Errorf("%s: want %s and status %d, have %d, %v\n%s%s", test.args, test.code, test.status, status, err, b.out.String(), b.err.String())
		}
		if test.args != "listservers --nosuchflag" && test.args != "createnetwerk vx2" && !strings.HasSuffix(b.err.String(), "\ncode:  "+string(test.code)+"\n") {
			t.Errorf("%s: no code among what people read:\n%s", test.args, b.err.String())
		}
		if !strings.Contains(statuses[test.code], fmt.Sprint(test.status)) {
			t.Errorf("docs/json.md: exit status %d with %s, not %s alone", test.status, test.code, statuses[test.code])
		}
		seen[test.code] = true
	}
	for _, code := range contract.Codes() {
		if !seen[code] {
			t.Errorf("no command comes to %s", code)
		}
	}
}

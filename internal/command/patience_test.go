package command

import (
	"slices"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/view"
)

// TestViewsWaitShorter: a command that only looks gives a server that is off three seconds, one
// that changes something fifteen; who says how long has that.
func TestViewsWaitShorter(t *testing.T) {
	for _, test := range []struct {
		args        []string
		annotations map[string]string
		want        time.Duration
	}{
		{nil, nil, 3 * time.Second},
		{nil, Changing(), 15 * time.Second},
		{nil, ChangingBy("fix"), 3 * time.Second},
		{[]string{"--fix"}, ChangingBy("fix"), 15 * time.Second},
		{[]string{"--timeout", "1m"}, nil, time.Minute},
		{[]string{"--timeout", "1m"}, Changing(), time.Minute},
	} {
		a := &App{Page: view.Page{Getenv: func(string) string { return "" }}}
		var have time.Duration
		cmd := &cobra.Command{Use: "flock", Annotations: test.annotations, RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.CheckGlobals(cmd); err != nil {
				return err
			}
			e, ok := connect(a, nil, &Progress{}).(*change.Engine)
			if !ok {
				t.Fatal("another engine")
			}
			have = max(e.Dialer.Connect, 0)
			if have == 0 {
				have = e.Dialer.Timeout
			}
			return nil
		}}
		a.AddGlobals(cmd.Flags())
		cmd.Flags().Bool("fix", false, "")
		cmd.SetArgs(slices.Concat(test.args, []string{}))
		if err := cmd.Execute(); err != nil || have != test.want {
			t.Errorf("%v, changes %v: want %v, have %v, %v", test.args, test.annotations != nil, test.want, have, err)
		}
	}
}

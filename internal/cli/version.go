package cli

import (
	"runtime"

	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long: `Print the version of this program.

  flock version -o json`,
		Args: command.Exactly(0),
		RunE: func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	v := versionView{command.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if a.JSON() {
		return a.PrintJSON(v)
	}
	return a.Print(a.Out, "flock %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
}

type versionView struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

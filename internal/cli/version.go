package cli

import (
	"runtime"
	"runtime/debug"

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
	v := versionView{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
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

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	return revision + dirty
}

package cli

import "github.com/spf13/cobra"

func newLab(*app) []*cobra.Command { return nil }

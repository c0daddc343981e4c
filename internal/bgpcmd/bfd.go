package bgpcmd

import (
	"strconv"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/option"
	"github.com/spf13/pflag"
)

// bfdFlag adds --bfd[=MS].
func bfdFlag(f *pflag.FlagSet, to *int, usage string) {
	f.Var(&command.Parsed{Parse: option.ParseBFD, Take: func(ms int64) { *to = int(ms) }}, "bfd", usage)
	f.Lookup("bfd").NoOptDefVal = strconv.Itoa(option.DefaultBFD)
}

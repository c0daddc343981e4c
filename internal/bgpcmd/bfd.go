package bgpcmd

import (
	"strconv"

	"github.com/flocknet/flock/internal/option"
	"github.com/spf13/pflag"
)

// bfdFlag adds --bfd[=MS].
func bfdFlag(f *pflag.FlagSet, to *int, usage string) {
	f.Var(&milliseconds{to}, "bfd", usage)
	f.Lookup("bfd").NoOptDefVal = strconv.Itoa(option.DefaultBFD)
}

// milliseconds is the value of --bfd; 0: none.
type milliseconds struct{ to *int }

// Set reads a number of milliseconds.
func (v *milliseconds) Set(text string) error {
	ms, err := option.ParseBFD(text)
	if err == nil {
		*v.to = int(ms)
	}
	return err
}

func (v *milliseconds) String() string {
	if v.to == nil || *v.to == 0 {
		return ""
	}
	return strconv.Itoa(*v.to)
}

// Type names the value in help.
func (*milliseconds) Type() string { return "MS" }

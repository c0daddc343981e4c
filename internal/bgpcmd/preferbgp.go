package bgpcmd

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// preferOptions are the flags of addbgp external that say which of several routers is used.
type preferOptions struct {
	backup, shutdown        bool
	localPref, med, prepend int64
	communities             []string
}

func (o *preferOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.backup, "backup", false, "external: use the router only while there is no other")
	f.BoolVar(&o.shutdown, "shutdown", false, "external: keep traffic away from the router, both ways (RFC 8326); --shutdown=false ends that")
	f.Int64Var(&o.localPref, "local-pref", 0, "external: prefer its routes by `N`; the highest is used (default 100)")
	f.Int64Var(&o.med, "med", 0, "external: announce with the metric `N`; routers of one AS use the lowest (default: none)")
	f.Int64Var(&o.prepend, "prepend", 0, "external: announce paths that are `N` longer, 1 to 32 (default: no longer)")
	f.StringArrayVar(&o.communities, "community", nil, "external: announce with the community `A:B` (RFC 1997); repeatable (default: none)")
}

// give notes the flags that were given; addbgp's lists are external's.
func (o *preferOptions) give(cmd *cobra.Command, out *edit.ExternalOptions) {
	given := cmd.Flags().Changed
	if given("backup") {
		out.Backup = &o.backup
	}
	if given("shutdown") {
		out.Shutdown = &o.shutdown
	}
	out.LocalPref, out.MED, out.Prepend = command.Number(cmd, "local-pref", &o.localPref), command.Number(cmd, "med", &o.med), command.Number(cmd, "prepend", &o.prepend)
}

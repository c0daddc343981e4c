package answer

import "github.com/flocknet/flock/internal/spec"

// incredible says that no agent says so of a cluster.
func incredible(c spec.Copied) bool {
	const most = 400 // bytes of a time and a command
	return spec.CheckName("cluster", c.Cluster) != nil || c.Server != "" && spec.CheckName("server", c.Server) != nil ||
		c.Generation > spec.MostGeneration || len(c.Made) > most || len(c.Store) > most || len(c.Sum) > most
}

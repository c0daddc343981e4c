package state

import "github.com/flocknet/flock/internal/plainfile"

// readBounded reads a cluster file, or one of its history, up to a size limit.
func readBounded(path string) ([]byte, error) { return plainfile.Read(path, plainfile.MostCluster) }

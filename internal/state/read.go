package state

import "github.com/flocknet/flock/internal/plainfile"

// readPlain reads a cluster file, or one of its history.
func readPlain(path string) ([]byte, error) { return plainfile.Read(path, plainfile.MostCluster) }

// Package attach goes into containers: it finds the network namespace of one by its kind
// and name, says what interfaces are there, and sets up those that flock gave it.
//
// It does not know bridges, what an interface is for, or when a container starts.
package attach

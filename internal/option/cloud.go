package option

import (
	"regexp"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// cloudName is what clouds, and their users, call tables and profiles.
var cloudName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+/-]{0,127}$`)

// projectName is what clouds call projects and subscriptions: a part of addresses.
var projectName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// checkRegion refuses what cannot be a part of a host's name.
func checkRegion(name string) error {
	if !spec.IsRegion(name) {
		return hint.Errorf("", "--region with a name as the cloud shows it", "%q is not a name of a cloud's", name)
	}
	return nil
}

func checkProject(name string) error {
	if !projectName.MatchString(name) {
		return hint.Errorf("", "--project with a name as the cloud shows it", "%q is not a name of a cloud's", name)
	}
	return nil
}

// checkCloudName refuses what nothing in a cloud is called.
func checkCloudName(flag string) func(string) error {
	return func(name string) error {
		if !cloudName.MatchString(name) {
			return hint.Errorf("", flag+" with a name as the cloud shows it", "%q is not a name of a cloud's", name)
		}
		return nil
	}
}

func checkTables(n *state.Network) error {
	for i, table := range n.Tables {
		if err := checkCloudName("--route-table")(table); err != nil {
			return err
		}
		if slices.Contains(n.Tables[:i], table) {
			return hint.Errorf("", "each route table once", "route table %s is named twice", table)
		}
	}
	return nil
}

//go:build linux

package settings

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// claimSettings says which of the settings that ops write cannot be written.
func claimSettings(k *host.Host, ops []family.Op) []spec.Problem {
	var out []spec.Problem
	for _, op := range ops {
		s, ok := op.Want.(spec.Sysctl)
		if !ok {
			continue
		}
		key := s.Key
		if s.Link != "" && k.Devices.ByName[s.Link] == nil { // what a new link will have, "default" has
			key = strings.Replace(key, "/conf/"+s.Link+"/", "/conf/default/", 1)
		}
		path, err := sysctl.Path(key)
		if err == nil {
			err = unix.Access(path, unix.W_OK)
		}
		switch {
		case err == nil, s.Link != "" && errors.Is(err, unix.ENOENT):
		case errors.Is(err, unix.ENOENT):
			out = append(out, spec.Problem{What: "this kernel has no setting " + dotted(s.Key), Next: "sysctl " + dotted(s.Key)})
		default:
			return append(out, spec.Problem{ // the others would say the same
				What: fmt.Sprintf("the setting %s cannot be written: %v", dotted(s.Key), host.BareErrno(err)), Next: host.MendDir(path, err),
			})
		}
	}
	return out
}

// dotted is a setting as sysctl(8) takes it: a dot in a link's name becomes a slash.
func dotted(key string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(key)
}

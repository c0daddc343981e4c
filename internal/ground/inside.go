package ground

import (
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Inside is a shell's line by which root of a server runs a command in the network namespace of a
// container, KIND/NAME. It has the rights of the server there: a container of Docker's may not
// change its own devices.
func Inside(container string, words ...string) string {
	kind, name, _ := strings.Cut(container, "/")
	line := hint.Shell(words...)
	switch kind {
	case spec.Docker, spec.Podman:
		return "nsenter -n -t $(" + kind + " inspect -f '{{.State.Pid}}' " + hint.Shell(name) + ") " + line
	case spec.Libvirt: // a machine of its own
		return "virsh console " + hint.Shell(name) + ", and there: " + line
	case spec.LXC:
		return "lxc-attach -n " + hint.Shell(name) + " -- " + line
	}
	return "ip netns exec " + hint.Shell(name) + " " + line
}

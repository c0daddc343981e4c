package ground

import "testing"

// TestInside: each sort of container is entered by its own program, and names are words of a shell.
func TestInside(t *testing.T) {
	for container, want := range map[string]string{
		"netns/c1":   "ip netns exec c1 ip link set dev eth0 up",
		"lxc/c1":     "lxc-attach -n c1 -- ip link set dev eth0 up",
		"docker/a b": "nsenter -n -t $(docker inspect -f '{{.State.Pid}}' 'a b') ip link set dev eth0 up",
		"podman/c1":  "nsenter -n -t $(podman inspect -f '{{.State.Pid}}' c1) ip link set dev eth0 up",
	} {
		if have := Inside(container, "ip", "link", "set", "dev", "eth0", "up"); have != want {
			t.Errorf("%s: want %s, have %s", container, want, have)
		}
	}
}

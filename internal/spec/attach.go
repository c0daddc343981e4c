package spec

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// NetNS is the kind of container that is a named network namespace, as ip-netns(8) makes
// and lists them.
const NetNS = "netns"

// LXC is the kind of container that lxc-start(1) runs.
const LXC = "lxc"

// Docker is the kind of container that docker-run(1) runs.
const Docker = "docker"

// Podman is the kind of container that podman-run(1) runs.
const Podman = "podman"

// Libvirt is the kind of container that is a guest of libvirt's, a machine of its own: nobody
// but itself knows what is inside.
const Libvirt = "libvirt"

// ContainerKinds are the kinds that containers can have.
func ContainerKinds() []string { return []string{NetNS, LXC, Docker, Podman, Libvirt} }

// IsGuest says whether a container, KIND/NAME, is a machine, which has no network namespace on
// its server.
func IsGuest(container string) bool { return strings.HasPrefix(container, Libvirt+"/") }

// AsksByDHCP says whether a container, KIND/NAME, can be expected to have a DHCP client.
func AsksByDHCP(container string) bool {
	kind, _, _ := strings.Cut(container, "/")
	return kind != Docker && kind != Podman
}

// containerNameMax is the longest name of a container, in bytes. With all that goes with
// it, it fits a link's alias (IFALIASZ, 256).
const containerNameMax = 64

// AttachPrefix begins the name of every interface on a server whose other end is in a
// container.
const AttachPrefix = "flk-"

// Attachment is an interface of a container: one end of a pair (veth) whose other end is
// on the server, as a port of a bridge of ours.
type Attachment struct {
	Container string // KIND/NAME
	Interface string // its name in the container, at most IfNameMax bytes
	Host      string // the name of the other end, on the server
	Network   string `json:",omitempty"` // whose the bridge is; "": no bridge's port
	Bridge    string `json:",omitempty"` // "": no bridge's port
	MAC       string // of the end in the container
	MTU       int    `json:",omitempty"` // bytes, of both ends; 0: the kernel's
	// Addrs are the container's own, as long as it is attached. Without any, its DHCP client asks.
	Addrs []netip.Prefix `json:",omitempty"`
	// Gateways are the next hops of default routes, one per family of Addrs, for a
	// container that has none of that family.
	Gateways []netip.Addr `json:",omitempty"`
	// Moved says that an interface of that name which the container has from somebody else
	// is moved to Bridge; where it has none, one is made.
	Moved  bool `json:",omitempty"`
	Down   bool `json:",omitempty"` // found only: one of the ends is set down
	Unkept bool `json:",omitempty"` // found only: the container's configuration has something else for its next start
}

// Object names the attachment in a Step.
func (a Attachment) Object() string { return "attach " + a.Container + " " + a.Interface }

func (a Attachment) String() string {
	var b line
	b.add(a.Object())
	b.str("port", a.Host)
	b.str("bridge", a.Bridge)
	b.str("mac", a.MAC)
	b.num("mtu", a.MTU)
	b.str("addr", strings.Join(texts(a.Addrs), ","))
	b.str("via", strings.Join(texts(a.Gateways), ","))
	b.str("network", a.Network)
	b.flag("moved", a.Moved)
	b.flag("down", a.Down)
	b.flag("unkept", a.Unkept)
	return b.String()
}

// Container is what was found on a server.
type Container struct {
	Name       string // KIND/NAME; "": not known whose the interfaces are
	Stopped    bool   `json:",omitempty"` // it exists and does not run
	User       string `json:",omitempty"` // whose it is; "": root's
	Interfaces []ContainerInterface
}

// ContainerInterface is an interface of a container, loopback aside.
type ContainerInterface struct {
	Name   string         `json:",omitempty"` // in the container; "": the container is not known
	Port   string         `json:",omitempty"` // its other end on the server; "": there is none
	Bridge string         `json:",omitempty"` // that Port is plugged into
	MAC    string         `json:",omitempty"` // in the container; of a port, what was last heard there
	Addrs  []netip.Prefix `json:",omitempty"` // link-local ones aside; of a port those that the server knows, each by itself
	Owner  string         `json:",omitempty"` // the cluster that attached it; "": not flock
}

// CheckContainer refuses what is no KIND/NAME, or not safe as part of a file name and of
// an alias.
func CheckContainer(text string) error {
	kind, name, both := strings.Cut(text, "/")
	switch {
	case !both || !slices.Contains(ContainerKinds(), kind):
		return hint.Errorf("", "write "+strings.Join(ContainerKinds(), "/NAME or ")+"/NAME", "container %q: its kind is none that flock knows", text)
	case len(name) > containerNameMax:
		return hint.Errorf("", "choose a shorter name", "container %q: a name has %d bytes at most", text, containerNameMax)
	case !isName(name):
		return hint.Errorf("", "use letters, digits, '-', '_' and '.', and start with a letter or digit", "container %q: %q is not a name", text, name)
	}
	return nil
}

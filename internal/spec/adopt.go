package spec

// Bridges of other programs whose subnet a server's own can be: Host.Adopted has their
// addresses. By its configuration the program makes the bridge, hands out what is beside the
// address, and masquerades. Found only: 0.0.0.0/0 where it chooses an address itself.
const (
	LXCBridge     = "lxcbr0"
	DockerBridge  = "docker0"
	LibvirtBridge = "virbr0"
)

// OwnBridges are these.
var OwnBridges = []string{LXCBridge, DockerBridge, LibvirtBridge}

// AdoptedObject names such a bridge in a Step.
func AdoptedObject(a Addr) string { return "adopt " + a.Link }

// AdoptedText is AdoptedObject with the address.
func AdoptedText(a Addr) string { return AdoptedObject(a) + " address " + a.Prefix.String() }

package option

// What numbers can be.
const (
	maxHops      = 255       // of TTLs
	maxVNI       = 1<<24 - 1 // RFC 7348: 24 bits
	maxTunnelKey = 1<<32 - 1 // RFC 2890: 32 bits
	maxKeepalive = 65535     // seconds
	minHold      = 3         // seconds; RFC 4271, 4.2: three, or none at all
	maxHold      = 65535
	minBFD       = 50 // milliseconds: three missed packets must not be a busy server
	maxBFD       = 60000
)

// WireGuardPort is the UDP port of the first network that is made with WireGuard.
const WireGuardPort = 51820

// DefaultDomain is the DNS domain of containers where nobody names another.
const DefaultDomain = "vxapp"

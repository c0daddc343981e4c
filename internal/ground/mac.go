package ground

import (
	"crypto/sha256"
	"fmt"
)

// The MAC addresses of a segment say what they are: a locally administered first
// byte, the role, two bytes of the network's name and two of the member's id. They
// follow from the cluster file alone, so that nothing has to be read back from
// the servers and nothing ever changes them.
const (
	macOUI     = 0x6a // bit 0 clear: unicast; bit 1 set: locally administered (IEEE 802)
	RoleTunnel = 0x0a // the end of a tunnel on a member
	RoleBridge = 0x0b // a member's bridge
	RoleAny    = 0x0f // the anycast gateway: id 0
)

// MAC is the address that a device with a role has on the member of an id.
func MAC(role byte, cluster, network string, id uint16) string {
	h := sha256.Sum256([]byte(cluster + "/" + network))
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", macOUI, role, h[0], h[1], id>>8, id&0xff)
}

// RouterMask leaves the id out: it matches the bridges of all members.
const RouterMask = "ff:ff:ff:ff:00:00"

// WholeMask is for one bridge alone.
const WholeMask = "ff:ff:ff:ff:ff:ff"

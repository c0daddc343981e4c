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
	roleInside = 0x0c // an interface of a container: four bytes of whose it is, in the place of network and id
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

// ContainerMAC is the address of an interface that a container on a server has, and eight
// digits of it that name its other end.
func ContainerMAC(cluster, server, container, iface string) (digits, address string) {
	h := sha256.Sum256([]byte(cluster + "/" + server + "/" + container + "/" + iface))
	return fmt.Sprintf("%x", h[:4]), fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", macOUI, roleInside, h[0], h[1], h[2], h[3])
}

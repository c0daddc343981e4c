package network

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
	roleTunnel = 0x0a
	roleBridge = 0x0b
	roleAny    = 0x0f // the anycast gateway: id 0
)

func mac(role byte, cluster, network string, id uint16) string {
	h := sha256.Sum256([]byte(cluster + "/" + network))
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", macOUI, role, h[0], h[1], id>>8, id&0xff)
}

// routerMask leaves the id out: it matches the bridges of all members.
const routerMask = "ff:ff:ff:ff:00:00"

// wholeMask is for one bridge alone.
const wholeMask = "ff:ff:ff:ff:ff:ff"

package spec

import "time"

// CaptureRequest takes packets of a device. The first of a session names it; each one after
// that asks for what came since.
type CaptureRequest struct {
	Device string `json:",omitempty"`
	Mine   bool   `json:",omitempty"` // of a bridge, too, only what the server itself sends and is sent
	// Frames is the filter's program (linux, struct sock_filter: code, jt, jf and k in one number,
	// the first in the highest 16 bits) for a device whose packets have an Ethernet header,
	// Packets that for any other, where they begin with an IP header. What it returns is how many
	// bytes of a packet are taken.
	Frames  []uint64 `json:",omitempty"`
	Packets []uint64 `json:",omitempty"`

	Within time.Duration `json:",omitempty"` // how long packets are gathered for the answer

	// Slot tells two captures of a session apart, 0 and 1: what is said here of a session holds of each.
	Slot uint8 `json:",omitempty"`

	// Bridge, in place of Device, makes a port of it, as a container's. It goes when another request
	// names a bridge, and with the session. Send are frames that come in by it, each in base64.
	Bridge string   `json:",omitempty"`
	Send   []string `json:",omitempty"`
}

// PortPrefix begins the name of such a port; a number follows.
const PortPrefix = "flock"

// CaptureReply answers a CaptureRequest.
type CaptureReply struct {
	Ethernet bool          `json:",omitempty"` // the device's packets have an Ethernet header
	Data     string        `json:",omitempty"` // base64: for each packet a CaptureHeader and its bytes
	Until    int64         // the server's clock, in nanoseconds since 1970: earlier packets are in this answer, or were in one before
	Clock    int64         // the same clock when the answer was made
	Took     time.Duration // from the request to then
	Lost     int           // packets that the kernel had no room for, so far
}

// CaptureHeader is the size in bytes of what stands before a packet's bytes, each number with
// its highest byte first: 8 bytes of time as Until, 4 of its length, 4 of how many of its bytes
// follow, 2 of its VLAN tag (IEEE 802.1Q), 2 of the flags below.
const CaptureHeader = 20

// Flags of a captured packet.
const (
	CaptureOut  = 1 // it left by the device
	CaptureVLAN = 2 // it had a VLAN tag, which is not among its bytes
	// CaptureService is CaptureVLAN's: the tag is a service's (IEEE 802.1ad).
	CaptureService = 4
)

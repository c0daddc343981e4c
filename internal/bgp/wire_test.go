//go:build linux

package bgp

import (
	"io"
	"net"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

func write(c net.Conn, m *bgp.BGPMessage) error {
	b, err := m.Serialize()
	if err == nil {
		_, err = c.Write(b)
	}
	return err
}

// read takes one message in.
func read(c net.Conn) error {
	head := make([]byte, bgp.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	h := &bgp.BGPHeader{}
	if err := h.DecodeFromBytes(head); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(h.Len)-bgp.BGP_HEADER_LENGTH)
	return err
}

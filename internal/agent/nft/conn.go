//go:build linux

package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// bufferSize holds the kernel's answers to some ten thousand rules in one
// transaction; the default of 208 KiB overflows at two hundred (ENOBUFS, linux
// 6.18, TestManyNetworksInOneTransaction).
const bufferSize = 32 << 20

// with runs do with the one socket to nftables. It stays open: to close it is to
// wait until the kernel has forgotten what was deleted (linux 6.18,
// nft_rcv_nl_event). After an error it may hold answers that nobody read.
func (n *Filters) with(do func(*nftables.Conn) error) error {
	if n.conn == nil {
		c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(s *netlink.Conn) error {
			return errors.Join(s.SetReadBuffer(bufferSize), s.SetWriteBuffer(bufferSize))
		}))
		if err != nil {
			return fmt.Errorf("open netlink to nftables: %w", err)
		}
		n.conn = c
	}
	if err := do(n.conn); err != nil {
		return errors.Join(err, n.Close())
	}
	return nil
}

// Close closes the sockets; no rule changes.
func (n *Filters) Close() error {
	var err error
	if n.counter != 0 {
		err = unix.Close(n.counter)
	}
	if n.conn != nil {
		err = errors.Join(err, n.conn.CloseLasting())
	}
	n.conn, n.seen, n.counter = nil, nil, 0
	return err
}

// commentType is the type of a comment in a rule's user data
// (NFTNL_UDATA_RULE_COMMENT, as nft and iptables-nft write and show it).
const commentType = 0

// comment holds 253 bytes; a cluster's and a network's name have 63 at most each.
func comment(text string) []byte {
	return append(append([]byte{commentType, byte(len(text) + 1)}, text...), 0)
}

// commentOf reads a rule's comment; user data of others may be anything.
func commentOf(r *nftables.Rule) string {
	for data := r.UserData; len(data) >= 2; {
		kind, size := data[0], int(data[1])
		if data = data[2:]; size > len(data) {
			return ""
		}
		if kind == commentType {
			return strings.TrimSuffix(string(data[:size]), "\x00")
		}
		data = data[size:]
	}
	return ""
}

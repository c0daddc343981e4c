//go:build linux

package link

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// haul has what stands on one device stand on another: its addresses, and the routes by it.
// The kernel's own words are sent back to it with the other device in them, so that nothing
// is lost of what flock has no name for: peers, labels, lifetimes, metrics, tables. All comes
// before anything goes: at no moment is an address nowhere. What is there already, or gone,
// is no error: who was killed in the middle is followed by who goes on.
type haul struct {
	from, to   *netlink.LinkAttrs
	back       bool // to where it came from
	come, gone []*nl.NetlinkRequest
	last       []*nl.NetlinkRequest // sent after all
}

// do sends first, then what moves everything, and last.
func (c *haul) do(k *host.Host, first ...*nl.NetlinkRequest) error {
	c.come = first
	addrs, err := k.RT.List(unix.RTM_GETADDR, unix.SizeofIfAddrmsg)
	if err != nil {
		return err
	}
	routes, err := k.RT.List(unix.RTM_GETROUTE, unix.SizeofRtMsg)
	if err != nil {
		return err
	}
	for i := range addrs {
		c.addr(addrs[i], unix.AF_INET)
	}
	for i := range addrs { // of these the kernel lists what came last first
		c.addr(addrs[len(addrs)-1-i], unix.AF_INET6)
	}
	for _, m := range routes {
		if err := c.route(m); err != nil {
			return err
		}
	}
	if err := sendAll(k, c.come, false); err != nil {
		return err
	}
	slices.Reverse(c.gone) // routes, and secondary addresses before those that they lean on
	return sendAll(k, append(c.gone, c.last...), true)
}

// sendAll sends messages about what comes or goes, and returns the first refusal.
func sendAll(k *host.Host, messages []*nl.NetlinkRequest, goes bool) error {
	for len(messages) > 0 {
		n := min(len(messages), rtnl.MaxBatch)
		answers, err := k.RT.Send(messages[:n]...)
		if err != nil {
			return err
		}
		messages = messages[n:]
		for _, err := range answers {
			if done := goes && host.Gone(err) || !goes && errors.Is(err, unix.EEXIST); err != nil && !done {
				return err
			}
		}
	}
	return nil
}

// attribute is the value of one in what the kernel told of an object, of at least n bytes and
// where it stands; nil where it is not there.
//
//go:noinline
func attribute(attrs []byte, kind uint16, n int) []byte {
	for len(attrs) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < unix.SizeofRtAttr || size > len(attrs) {
			break
		}
		if value := attrs[unix.SizeofRtAttr:size]; binary.NativeEndian.Uint16(attrs[2:]) == kind && len(value) >= n {
			return value
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return nil
}

// told is a message with what the kernel told of an object.
//
//go:noinline
func told(kind, flags int, body []byte) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(kind, flags)
	m.AddRawData(slices.Clone(body))
	return m
}

// with is body with one more attribute: the last one of a kind holds.
//
//go:noinline
func with(body []byte, kind int, value []byte) []byte {
	return append(body, nl.NewRtAttr(kind, value).Serialize()...)
}

// flagged leaves of the flags at the beginning of b those in mask, and sets more.
func flagged(b []byte, mask, more uint32) {
	binary.NativeEndian.PutUint32(b, binary.NativeEndian.Uint32(b)&mask|more)
}

// swap writes the other device's index where the one's is.
//
//go:noinline
func (c *haul) swap(index []byte) bool {
	if len(index) < 4 || int(binary.NativeEndian.Uint32(index)) != c.from.Index {
		return false
	}
	binary.NativeEndian.PutUint32(index, uint32(c.to.Index))
	return true
}

func (c *haul) addr(body []byte, family byte) {
	const index, create = 4, unix.NLM_F_CREATE | unix.NLM_F_EXCL
	attrs := body[unix.SizeofIfAddrmsg:]
	// One that belongs to its device stays, and its neighbours find it on the bridge too.
	stays := host.Bound(attribute(attrs, unix.IFA_ADDRESS, 4))
	if body[0] != family || stays && c.back {
		return
	}
	gone := told(unix.RTM_DELADDR, 0, body)
	if !c.swap(body[index:]) {
		return
	}
	if !stays {
		c.gone = append(c.gone, gone)
	}
	flags := attribute(attrs, unix.IFA_FLAGS, 4)
	if family == unix.AF_INET || flags == nil {
		label := string(attribute(attrs, unix.IFA_LABEL, 0))
		if rest, own := strings.CutPrefix(label, c.from.Name); own && len(c.to.Name+rest) <= unix.IFNAMSIZ {
			body = with(body, unix.IFA_LABEL, []byte(c.to.Name+rest))
		}
		c.come = append(c.come, told(unix.RTM_NEWADDR, create, body))
		return
	}
	// Nobody is asked whether it is free, which takes a second: the server has it. Then it
	// gets its own flags.
	was := slices.Clone(flags)
	flagged(flags, math.MaxUint32, unix.IFA_F_NODAD)
	quick := told(unix.RTM_NEWADDR, create, body)
	copy(flags, was)
	c.come = append(c.come, quick, told(unix.RTM_NEWADDR, unix.NLM_F_REPLACE, body))
}

const nexthopID = 30 // RTA_NH_ID

// errNextHops is why nothing was moved.
var errNextHops = errors.New("a route by it goes by a nexthop object (ip nexthop), which cannot be moved")

// route adds what moves a route. The kernel's own come with the addresses, those of ours go
// where the spec says.
func (c *haul) route(body []byte) error {
	const table, protocol, flags = 4, 5, 8
	attrs := body[unix.SizeofRtMsg:]
	ours := body[protocol] == spec.RouteProto || body[protocol] == spec.RouteProtoBGP
	if ours || body[0] != unix.AF_INET && body[0] != unix.AF_INET6 || body[table] == unix.RT_TABLE_LOCAL || host.Bound(attribute(attrs, unix.RTA_DST, 4)) {
		return nil
	}
	flagged(body[flags:], unix.RTNH_F_ONLINK, 0) // the rest is how it is
	gone := told(unix.RTM_DELROUTE, 0, body)
	moves := c.swap(attribute(attrs, unix.RTA_OIF, 4))
	for hop := attribute(attrs, unix.RTA_MULTIPATH, 0); len(hop) >= unix.SizeofRtNexthop; {
		moves = c.swap(hop[4:]) || moves
		hop[2] &= unix.RTNH_F_ONLINK
		hop = hop[min(max((int(binary.NativeEndian.Uint16(hop))+3)&^3, unix.SizeofRtNexthop), len(hop)):]
	}
	switch {
	case !moves:
		return nil
	case attribute(attrs, nexthopID, 4) != nil:
		return errNextHops
	}
	const expires, ticks = 8, 100 // struct rta_cacheinfo; USER_HZ
	if info := attribute(attrs, unix.RTA_CACHEINFO, expires+4); info != nil {
		if left := binary.NativeEndian.Uint32(info[expires:]) / ticks; int32(left) > 0 {
			body = with(body, unix.RTA_EXPIRES, nl.Uint32Attr(left))
		}
	}
	// IPv4 takes a second one with the same metric behind the first, IPv6 beside it.
	how := unix.NLM_F_CREATE
	if body[0] == unix.AF_INET {
		how |= unix.NLM_F_APPEND
	}
	c.come, c.gone = append(c.come, told(unix.RTM_NEWROUTE, how, body)), append(c.gone, gone)
	return nil
}

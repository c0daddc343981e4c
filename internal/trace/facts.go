package trace

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// link is a device as the kernel has it.
type link struct {
	Index   int
	Name    string
	Kind    string // as ip -d link shows it; "": hardware
	MTU     int    // bytes
	Up      bool   // set up
	Carrier bool   // it can carry packets
	Master  int    // index of the bridge that it is a port of
	MAC     string
	Peer    int // index of what it is a pair or a part of, elsewhere maybe
	Addrs   []netip.Prefix

	VNI           int
	Port          int
	Local, Remote netip.Addr
	Group         netip.Addr
}

// neigh is an entry of the ARP or ND table; with Dst or a bridge's, a forwarding entry.
type neigh struct {
	Index  int // of the device
	IP     netip.Addr
	MAC    string
	State  int
	Master bool // a forwarding entry of the bridge that the device is a port of
	Dst    netip.Addr
}

// States of neighbours (linux/neighbour.h).
const (
	incomplete = 0x01
	failed     = 0x20
	permanent  = 0x80
)

// route is the kernel's answer to a routeQuestion.
type route struct {
	Errno int // it refuses the packet
	Type  int // unicast, local, …
	Out   int // index of the device
	Via   netip.Addr
	Src   netip.Addr // that its own packets get
	Table int

	// Of the entry of the table that matches, where that was asked for.
	Prefix netip.Prefix
	Proto  int
}

// Types of routes, and what the kernel says (linux/rtnetlink.h, errno-base.h).
const (
	routeLocal = 2
	mainTable  = 254

	errMartian     = 22
	errProhibit    = 13
	errCrossDevice = 18
	errUnreachable = 113
)

// facts are what is known of a server, or of a container on it.
type facts struct {
	base     bool // links and tables are known
	Stopped  bool // the container does not run
	Links    []*link
	Neighs   []neigh // also forwarding entries
	Routes   map[routeQuestion]route
	Rules    *kernel.Rules
	Control  *kernel.Control
	Forwards map[[2]int]bool // by family and device; 0 stands for all that are made
	Filters  map[int]int     // rp_filter by device; allDevices: what is at least true for all
	peers    bool            // WG, Peers and Sessions are known
	WG       []spec.Link
	Peers    []spec.Peer
	Sessions []spec.Session
	Clock    int64

	silent     bool // the server does not answer
	listed     bool
	Containers []spec.Container
}

func (f *facts) link(name string) *link {
	return firstOf(f.Links, func(l *link) bool { return l.Name == name })
}

// at is the device with an index: they are sorted by that.
func (f *facts) at(index int) *link {
	i, has := slices.BinarySearchFunc(f.Links, index, func(l *link, n int) int { return cmp.Compare(l.Index, n) })
	if !has {
		return nil
	}
	return f.Links[i]
}

// firstOf is the first of a list that something holds of, nil where there is none.
func firstOf[T any](list []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}

// name is a device's, also of one that is not known.
func (f *facts) name(index int) string {
	if l := f.at(index); l != nil {
		return l.Name
	}
	return "a device that is gone"
}

// holder is the device with an address.
func (f *facts) holder(a netip.Addr) *link {
	return firstOf(f.Links, func(l *link) bool { return has(l.Addrs, a) })
}

// has says whether one of several addresses is a.
func has(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == a })
}

// neighbour is the entry of an address on a device.
func (f *facts) neighbour(index int, a netip.Addr) (neigh, bool) {
	for _, n := range f.Neighs {
		if n.Index == index && n.IP == a {
			return n, true
		}
	}
	return neigh{}, false
}

// kernel.MACOf is what the neighbour table has of an address on a device; "": nothing that counts.
func (f *facts) macOf(dev *link, a netip.Addr) string {
	if n, has := f.neighbour(dev.Index, a); has && n.State&(failed|incomplete) == 0 {
		return n.MAC
	}
	return ""
}

// base are the questions about all that the walk needs but routes, and how each is read.
var base = []struct {
	kind    uint16
	header  []byte
	outside bool // of servers, not of containers
	take    func(*facts, binary.ByteOrder, []byte)
}{
	{kernel.GetLink, make([]byte, 16), false, (*facts).takeLink},
	{kernel.GetAddr, make([]byte, 8), false, (*facts).takeAddr},
	{kernel.GetNeigh, make([]byte, 12), false, (*facts).takeNeigh},
	// ifinfomsg would do, too: ndmsg is what kernels with strict checks want.
	{kernel.GetNeigh, append([]byte{kernel.Bridge}, make([]byte, 11)...), true, (*facts).takeNeigh},
	{kernel.GetConf, []byte{kernel.INet, 0, 0, 0}, true, (*facts).takeConf},
	{kernel.GetConf, []byte{kernel.INet6, 0, 0, 0}, true, (*facts).takeConf},
	{kernel.GetChain, make([]byte, 4), false, func(f *facts, _ binary.ByteOrder, b []byte) { f.Rules.TakeChain(b) }},
	{kernel.GetRule, make([]byte, 4), false, func(f *facts, _ binary.ByteOrder, b []byte) { f.Rules.TakeRule(b) }},
	{kernel.GetSet, make([]byte, 4), false, func(f *facts, _ binary.ByteOrder, b []byte) { f.Rules.TakeSet(b) }},
	{kernel.GetQueue, make([]byte, 20), false, func(f *facts, _ binary.ByteOrder, b []byte) { f.Control.TakeQueue(b) }},
}

func baseQuestions(o binary.ByteOrder, inside bool) []string {
	var out []string
	for _, q := range base {
		if !q.outside || !inside {
			out = append(out, kernel.Question(o, q.kind, kernel.Dump, q.header))
		}
	}
	return out
}

// takeBase reads the answers to baseQuestions.
func (f *facts) takeBase(o binary.ByteOrder, answers []string, inside bool) {
	f.base, f.Links, f.Neighs, f.Rules, f.Control = true, nil, nil, &kernel.Rules{Endian: o}, &kernel.Control{Endian: o}
	f.Forwards, f.Filters = map[[2]int]bool{}, map[int]int{}
	for _, q := range base {
		if q.outside && inside || len(answers) == 0 {
			continue
		}
		list, _ := kernel.Messages(answers[0])
		for _, b := range list {
			q.take(f, o, b)
		}
		slices.SortStableFunc(f.Links, func(a, b *link) int { return cmp.Compare(a.Index, b.Index) })
		answers = answers[1:]
	}
	f.Rules.Sort()
}

// allDevices is what the kernel calls all devices together (NETCONFA_IFINDEX_ALL).
const allDevices = -1

// takeConf reads what is set for a device: whether it forwards, whether it filters by the way
// back (linux/netconf.h).
func (f *facts) takeConf(o binary.ByteOrder, b []byte) {
	if len(b) < 4 {
		return
	}
	a := kernel.AttrsOf(o, b, 4)
	index := int(int32(kernel.U32(o, a[1]))) //nolint:gosec // as the kernel has it
	f.Forwards[[2]int{int(b[0]), index}] = kernel.U32(o, a[2]) != 0
	if b[0] == kernel.INet {
		f.Filters[index] = kernel.U32(o, a[3])
	}
}

func (f *facts) takeLink(o binary.ByteOrder, b []byte) {
	if len(b) < 16 {
		return
	}
	flags := o.Uint32(b[8:])
	a := kernel.AttrsOf(o, b, 16)
	l := &link{
		Index: int(o.Uint32(b[4:])), Name: kernel.Text(a[3]), Up: flags&1 != 0, Carrier: flags&(1<<16) != 0,
		MAC: kernel.MACOf(a[1]), MTU: kernel.U32(o, a[4]), Master: kernel.U32(o, a[10]), Peer: kernel.U32(o, a[5]),
	}
	info := kernel.AttrsOf(o, a[18], 0)
	l.Kind = kernel.Text(info[1])
	data := kernel.AttrsOf(o, info[2], 0)
	switch l.Kind {
	case spec.VXLAN:
		l.VNI, l.Local, l.Group = kernel.U32(o, data[1]), cmp.Or(kernel.AddrOf(data[4]), kernel.AddrOf(data[17])), cmp.Or(kernel.AddrOf(data[2]), kernel.AddrOf(data[16]))
		if len(data[15]) == 2 {
			l.Port = int(binary.BigEndian.Uint16(data[15]))
		}
	case spec.IPIP, "ip6tnl":
		l.Local, l.Remote = kernel.AddrOf(data[2]), kernel.AddrOf(data[3])
	case spec.GRE, spec.IP6GRE:
		l.Local, l.Remote = kernel.AddrOf(data[6]), kernel.AddrOf(data[7])
	}
	for _, a := range []*netip.Addr{&l.Local, &l.Remote} {
		if a.IsValid() && a.IsUnspecified() {
			*a = netip.Addr{}
		}
	}
	f.Links = append(f.Links, l)
}

func (f *facts) takeAddr(o binary.ByteOrder, b []byte) {
	if len(b) < 8 {
		return
	}
	a := kernel.AttrsOf(o, b, 8)
	ip := cmp.Or(kernel.AddrOf(a[2]), kernel.AddrOf(a[1])) // IFA_LOCAL
	if l := f.at(int(o.Uint32(b[4:]))); l != nil && ip.IsValid() {
		l.Addrs = append(l.Addrs, netip.PrefixFrom(ip, int(b[1])))
	}
}

func (f *facts) takeNeigh(o binary.ByteOrder, b []byte) {
	if len(b) < 12 {
		return
	}
	const masterFlag = 4 // NTF_MASTER
	a := kernel.AttrsOf(o, b, 12)
	n := neigh{Index: int(o.Uint32(b[4:])), State: int(o.Uint16(b[8:])), MAC: kernel.MACOf(a[2])}
	if b[0] == kernel.Bridge {
		n.Master, n.Dst = b[10]&masterFlag != 0 || len(a[9]) > 0, kernel.AddrOf(a[1])
	} else {
		n.IP = kernel.AddrOf(a[1])
	}
	f.Neighs = append(f.Neighs, n)
}

// takeRoute reads the answer to a routeQuestion.
func (f *facts) takeRoute(o binary.ByteOrder, q routeQuestion, text string) {
	if f.Routes == nil {
		f.Routes = map[routeQuestion]route{}
	}
	list, errno := kernel.Messages(text)
	r := route{Errno: errno}
	if len(list) == 0 && errno == 0 {
		r.Errno = errUnreachable
	}
	for _, m := range list {
		if len(m) < 12 {
			continue
		}
		a := kernel.AttrsOf(o, m, 12)
		r = route{Type: int(m[7]), Out: kernel.U32(o, a[4]), Via: kernel.AddrOf(a[5]), Src: kernel.AddrOf(a[7]), Table: kernel.U32(o, a[15]), Proto: int(m[5])}
		if r.Prefix, _ = q.To.Prefix(0); len(a[1]) > 0 {
			r.Prefix = netip.PrefixFrom(kernel.AddrOf(a[1]), int(m[1]))
		}
		if via := a[18]; len(via) > 2 { // RTA_VIA: of another family
			r.Via = kernel.AddrOf(via[2:])
		}
	}
	f.Routes[q] = r
}

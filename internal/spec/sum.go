package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/flocknet/flock/internal/wire"
)

// AddrSet is a sorted set of addresses that many hosts share. It is immutable; its
// checksum is computed once for all of them.
type AddrSet struct {
	addrs []netip.Addr
	once  sync.Once
	sum   string
}

// NewAddrSet returns the set of addrs; duplicates count once.
func NewAddrSet(addrs ...netip.Addr) *AddrSet {
	list := make([]netip.Addr, 0, len(addrs))
	for _, i := range numbered(len(addrs), func(a, b int) int { return addrs[a].Compare(addrs[b]) }) {
		list = append(list, addrs[i])
	}
	return &AddrSet{addrs: slices.Compact(list)}
}

// Addrs returns the members in order. The caller must not change the slice. A
// nil set is empty.
func (s *AddrSet) Addrs() []netip.Addr {
	if s == nil {
		return nil
	}
	return s.addrs
}

func (s *AddrSet) checksum() string {
	if s == nil {
		return ""
	}
	s.once.Do(func() { s.sum = checksum(strings.Join(texts(s.addrs), ",")) })
	return s.sum
}

// MarshalJSON writes the set as a list.
func (s *AddrSet) MarshalJSON() ([]byte, error) { return wire.Marshal(s.Addrs()) }

// UnmarshalJSON reads a list; order and duplicates do not matter.
func (s *AddrSet) UnmarshalJSON(data []byte) error {
	var list []netip.Addr
	if err := wire.Unmarshal(data, &list); err != nil {
		return err
	}
	s.addrs = NewAddrSet(list...).addrs
	return nil
}

// Empty says whether h asks for nothing: a server with an empty Host keeps nothing of
// the cluster.
func (h *Host) Empty() bool {
	return h == nil || len(h.Links)+len(h.Addrs)+len(h.Routes)+len(h.Neighs)+len(h.FDB)+
		len(h.Floods)+len(h.Members)+len(h.Peers)+len(h.Gateways)+len(h.Guards)+len(h.Doors)+len(h.NATs)+len(h.Keeps)+len(h.Forwards)+len(h.Sysctls)+
		len(h.DHCPs)+len(h.Envs)+len(h.Unmanaged)+len(h.Attached)+len(h.Firewalld)+len(h.UFW)+len(h.Dockers)+len(h.Adopted) == 0 && h.BGP == nil
}

// Sum is a checksum of what h asks for: equal sums mean equal specs. Generation is left
// out, so that a change elsewhere in the cluster does not change a server's sum. An
// empty Host has the sum "".
func (h *Host) Sum() string {
	if h.Empty() {
		return ""
	}
	lines := h.lines(func(f Flood) string { return "flood " + f.Link + " to " + f.To.checksum() })
	return checksum(strings.Join(append([]string{h.Cluster, h.Store, h.Server}, lines...), "\n"))
}

// Sums are the checksums of two hosts, which are often the same one.
func Sums(h, other *Host) (sum, others string) {
	if sum = h.Sum(); h == other {
		return sum, sum
	}
	return sum, other.Sum()
}

// Text is the whole Host, one object a line, in canonical order.
func (h *Host) Text() string {
	lines := h.lines(Flood.String)
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (h *Host) lines(flood func(Flood) string) []string {
	var out []string
	out = append(out, sorted(h.Links, Link.String)...)
	out = append(out, sorted(h.Addrs, Addr.String)...)
	out = append(out, written(h.Routes, Route.write)...)
	out = append(out, written(h.Neighs, Neigh.write)...)
	out = append(out, written(h.FDB, FDB.write)...)
	out = append(out, sorted(h.Floods, flood)...)
	out = append(out, sorted(h.Members, Member.String)...)
	out = append(out, sorted(h.Peers, Peer.String)...)
	out = append(out, sorted(h.Gateways, Gateway.String)...)
	out = append(out, sorted(h.Guards, Guard.String)...)
	out = append(out, sorted(h.Doors, Door.String)...)
	out = append(out, sorted(h.NATs, NAT.String)...)
	out = append(out, sorted(h.Keeps, PreserveSource.String)...)
	out = append(out, sorted(h.Forwards, Forward.String)...)
	out = append(out, sorted(h.Sysctls, Sysctl.String)...)
	out = append(out, sorted(h.DHCPs, DHCP.String)...)
	out = append(out, sorted(h.Envs, SubnetEnv.String)...)
	out = append(out, sorted(h.Unmanaged, Unmanage.String)...)
	out = append(out, sorted(h.Attached, Attachment.String)...)
	out = append(out, sorted(h.Firewalld, Unmanage.String)...)
	out = append(out, sorted(h.UFW, Unmanage.String)...)
	out = append(out, sorted(h.Dockers, DockerNet.String)...)
	out = append(out, sorted(h.Adopted, AdoptedText)...)
	out = append(out, h.BGP.lines()...)
	return append(out, sorted(h.Claims, Claim.String)...)
}

// AllFDB returns h's forwarding entries including one per address of the flood lists
// (except for the device's own Local), sorted, without duplicates.
func (h *Host) AllFDB() []FDB {
	local := map[string]netip.Addr{}
	for _, l := range h.Links {
		if l.Tunnel != nil {
			local[l.Name] = l.Tunnel.Local
		}
	}
	out := slices.Clone(h.FDB)
	for _, f := range h.Floods {
		for _, to := range f.To.Addrs() {
			if to != local[f.Link] {
				out = append(out, FDB{Link: f.Link, MAC: ZeroMAC, Dst: to})
			}
		}
	}
	order := numbered(len(out), func(a, b int) int {
		return cmp.Or(cmp.Compare(out[a].Link, out[b].Link), cmp.Compare(out[a].MAC, out[b].MAC), out[a].Dst.Compare(out[b].Dst))
	})
	all := make([]FDB, 0, len(out))
	for _, i := range order {
		all = append(all, out[i])
	}
	return slices.Compact(all)
}

// numbered is the order of n things. It sorts their numbers, which others sort too: each
// type takes 9 KB of the agent.
func numbered(n int, compare func(a, b int) int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, compare)
	return order
}

// SortPrefixes sorts list by their order, as netip.Prefix.Compare has it.
func SortPrefixes(list []netip.Prefix) { SortPrefixesBy(list, netip.Prefix.Compare) }

// SortPrefixesBy sorts list by compare.
func SortPrefixesBy(list []netip.Prefix, compare func(a, b netip.Prefix) int) {
	was := slices.Clone(list)
	for at, i := range numbered(len(was), func(a, b int) int { return compare(was[a], was[b]) }) {
		list[at] = was[i]
	}
}

// lineMost is a length in bytes that most lines about routes, neighbours and forwarding
// entries do not exceed.
const lineMost = 80

// written is sorted for objects of which a server may have thousands: their lines share
// one string.
func written[T any](list []T, write func(T, *line)) []string {
	all := make(line, 0, len(list)*lineMost)
	ends := make([]int, len(list))
	for i, v := range list {
		write(v, &all)
		ends[i] = len(all)
	}
	text, at, out := string(all), 0, make([]string, len(list))
	for i, end := range ends {
		out[i], at = text[at:end], end
	}
	return sortTexts(out)
}

func sorted[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return sortTexts(out)
}

// sortTexts sorts texts, and leaves each once. Inlined, it would be in the program once per
// type of object: 6 KB.
//
//go:noinline
func sortTexts(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}

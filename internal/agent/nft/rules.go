//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
)

// ruleset is what nftables hold, as far as it was asked for. A look at everything
// after a change of something else finds the rules as they were: the kernel counts
// the transactions, and while the count stands, nothing is asked for again (a third
// of a look's work).
type ruleset struct {
	c          *nftables.Conn
	generation uint32 // of before the first question; 0: not known, and then this is asked once
	tables     []*nftables.Table
	chains     []*nftables.Chain
	listed     bool // chains are
	rules      map[chainKey][]*nftables.Rule
	sets       map[chainKey][]foundSet // by table
}

// foundSet is a set as it is.
type foundSet struct {
	name     string
	elements []nftables.SetElement
}

type chainKey struct {
	family      nftables.TableFamily
	table, name string
}

// current is the rule set of now, with what an earlier look read of it if nothing
// was changed since.
func (n *Filters) current(c *nftables.Conn, now uint32) *ruleset {
	if n.seen == nil || now == 0 || n.seen.generation != now || n.seen.c != c {
		n.seen = &ruleset{c: c, generation: now}
	}
	return n.seen
}

// mostLooks is how often rules are read until nobody has changed any meanwhile.
const mostLooks = 20

// steady runs look on the rule set until no transaction of anybody's came in between: a
// dump that one interrupts may lack rules or hold one twice, and what it was told in
// several dumps does not belong together then. The library does not tell (NLM_F_DUMP_INTR);
// the kernel's count of transactions, by which the kernel sets that flag, does.
func (n *Filters) steady(look func(*nftables.Conn, *ruleset) error) error {
	for range mostLooks {
		before, err := n.generation()
		if err != nil {
			return err
		}
		failed := n.with(func(c *nftables.Conn) error { return look(c, n.current(c, before)) })
		after, err := n.generation()
		if err != nil {
			return errors.Join(failed, err)
		}
		if before == after {
			n.looked = before
			return failed
		}
	}
	return hint.Errorf("", "wait until other programs have set up their rules, then flock apply",
		"read nftables rules: somebody changes them all the time")
}

// A kernel without nftables holds no tables and no chains: nfnetlink answers
// EINVAL for a subsystem that it does not have (nfnetlink_rcv_msg).

func (r *ruleset) allTables() ([]*nftables.Table, error) {
	if r.tables != nil {
		return r.tables, nil
	}
	tables, err := r.c.ListTables()
	if errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	r.tables = tables
	return tables, nil
}

func (r *ruleset) allChains() ([]*nftables.Chain, error) {
	if r.listed {
		return r.chains, nil
	}
	chains, err := r.c.ListChains()
	if errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	r.chains, r.listed = chains, true
	return chains, nil
}

func (r *ruleset) of(ch *nftables.Chain) ([]*nftables.Rule, error) {
	key := chainKey{ch.Table.Family, ch.Table.Name, ch.Name}
	if rules, ok := r.rules[key]; ok {
		return rules, nil
	}
	rules, err := r.c.GetRules(ch.Table, ch)
	if err != nil {
		return nil, fmt.Errorf("list nftables rules of %s %s: %w", ch.Table.Name, ch.Name, err)
	}
	if r.rules == nil {
		r.rules = map[chainKey][]*nftables.Rule{}
	}
	r.rules[key] = rules
	return rules, nil
}

// setsOf reads the sets of a table.
func (r *ruleset) setsOf(t *nftables.Table) ([]foundSet, error) {
	key := chainKey{family: t.Family, table: t.Name}
	if found, ok := r.sets[key]; ok {
		return found, nil
	}
	list, err := r.c.GetSets(t)
	if err != nil {
		return nil, fmt.Errorf("list nftables sets of %s: %w", t.Name, err)
	}
	var found []foundSet
	for _, s := range list {
		elements, err := r.c.GetSetElements(s)
		if err != nil {
			return nil, fmt.Errorf("list the nftables set %s of %s: %w", s.Name, t.Name, err)
		}
		found = append(found, foundSet{s.Name, elements})
	}
	if r.sets == nil {
		r.sets = map[chainKey][]foundSet{}
	}
	r.sets[key] = found
	return found, nil
}

// generation is the count of transactions in this network namespace, 0 where the
// kernel does not tell. It is asked for on a socket that does nothing else:
// NFT_MSG_GETGEN is one message there and one back.
func (n *Filters) generation() (uint32, error) {
	if n.counter == 0 {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return 0, fmt.Errorf("open netlink to nftables: %w", err)
		}
		n.counter = fd
	}
	const length = unix.SizeofNlMsghdr + 4 // struct nfgenmsg, all zero
	ask := make([]byte, length)
	binary.NativeEndian.PutUint32(ask, length)
	binary.NativeEndian.PutUint16(ask[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	binary.NativeEndian.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(n.counter, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask nftables for its generation: %w", err)
	}
	answer := make([]byte, 256)
	size, err := sysfile.Again(func() (int, error) { return unix.Read(n.counter, answer) })
	if err != nil {
		return 0, fmt.Errorf("read nftables' generation: %w", err)
	}
	answer = answer[:size]
	// An error message is all that a kernel without nftables has to say.
	const attribute = length + unix.SizeofNlAttr
	if len(answer) < attribute+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN ||
		binary.NativeEndian.Uint16(answer[length+2:]) != unix.NFTA_GEN_ID {
		return 0, nil
	}
	return binary.BigEndian.Uint32(answer[attribute:]), nil
}

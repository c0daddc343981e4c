//go:build linux

package attach

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// What flock says in the configuration of an LXC container stands in blocks at its end, one
// per interface: the last word counts there, so the container's own lines stay as they are,
// and count again without the block.

const (
	lxcKey  = "lxc.net."
	lxcOpen = "# " + spec.AliasPrefix // with what a link's alias says
	lxcEnd  = "# flock: end"
)

// lxcConf is a configuration: its lines, blocks, and what is outside of these about networks.
type lxcConf struct {
	lines  []string
	blocks []lxcBlock
	nets   map[int]map[string]string
}

// lxcBlock are the lines from, including, to, excluding; n is the network that they are about.
type lxcBlock struct {
	mark        string
	from, to, n int
}

func parseLXC(text string) *lxcConf {
	c := &lxcConf{lines: strings.Split(text, "\n"), nets: map[int]map[string]string{}}
	for i := 0; i < len(c.lines); i++ {
		if strings.HasPrefix(c.lines[i], lxcOpen) && c.lines[i] != lxcEnd {
			b := lxcBlock{mark: strings.TrimPrefix(c.lines[i], "# "), from: i, n: -1}
			for i++; i < len(c.lines) && strings.HasPrefix(c.lines[i], lxcKey); i++ {
				b.n, _, _ = lxcLine(c.lines[i])
			}
			if i == len(c.lines) || c.lines[i] != lxcEnd {
				i--
			}
			b.to = i + 1
			c.blocks = append(c.blocks, b)
			continue
		}
		if n, key, value := lxcLine(c.lines[i]); n >= 0 {
			if c.nets[n] == nil {
				c.nets[n] = map[string]string{}
			}
			c.nets[n][key] = value
		}
	}
	return c
}

// lxcLine reads lxc.net.N.KEY = VALUE; n is -1 if the line is none.
func lxcLine(line string) (n int, key, value string) {
	rest, is := strings.CutPrefix(strings.TrimSpace(line), lxcKey)
	key, value, _ = strings.Cut(rest, "=")
	number, key, _ := strings.Cut(strings.TrimSpace(key), ".")
	n, err := strconv.Atoi(number)
	if !is || err != nil || n < 0 {
		return -1, "", ""
	}
	return n, key, strings.Trim(strings.TrimSpace(value), `"`)
}

// own is the network, outside of blocks, whose interface has a name in the container; -1 if
// there is none. LXC calls those without a name eth0, eth1 and so on.
func (c *lxcConf) own(iface string) int {
	taken := map[string]bool{}
	for _, n := range slices.Sorted(maps.Keys(c.nets)) {
		name := c.nets[n]["name"]
		switch kind := c.nets[n]["type"]; {
		case kind == "" || kind == "none" || kind == "empty":
			continue
		case name == "" && kind == "phys":
			name = c.nets[n]["link"]
		}
		for i := 0; name == ""; i++ {
			if free := "eth" + strconv.Itoa(i); !taken[free] {
				name = free
			}
		}
		if taken[name] = true; name == iface {
			return n
		}
	}
	return -1
}

// elsewhere says whether the container has an interface of its own beside iface: its default
// route is that one's business.
func (c *lxcConf) elsewhere(iface string) bool {
	mine := c.own(iface)
	for n, keys := range c.nets {
		if kind := keys["type"]; n != mine && kind != "" && kind != "none" && kind != "empty" {
			return true
		}
	}
	return false
}

// block is the one of an object, in what cluster's marks say.
func (c *lxcConf) block(cluster string, a spec.Attachment) *lxcBlock {
	begin := spec.Alias(cluster, "")
	for i, b := range c.blocks {
		text, ours := strings.CutPrefix(b.mark, begin)
		if m, _ := readMark(text); ours && m.Container == a.Container && m.Interface == a.Interface {
			return &c.blocks[i]
		}
	}
	return nil
}

// without is the text without a block.
func (c *lxcConf) without(b *lxcBlock) string {
	return strings.Join(slices.Concat(c.lines[:b.from], c.lines[b.to:]), "\n")
}

// with is the text that says what a is.
func (c *lxcConf) with(cluster string, a spec.Attachment) string {
	old := c.block(cluster, a)
	n := c.own(a.Interface)
	own := n >= 0
	if !own {
		n = c.number(old)
	}
	lines := c.say(n, own, a)
	lines = slices.Concat([]string{"# " + attachedAlias(cluster, a)}, lines, []string{lxcEnd})
	if old != nil {
		return strings.Join(slices.Concat(c.lines[:old.from], lines, c.lines[old.to:]), "\n")
	}
	text := strings.Join(c.lines, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + strings.Join(lines, "\n") + "\n"
}

// number is the network of a block, if nobody else has it, or the next.
func (c *lxcConf) number(old *lxcBlock) int {
	last := -1
	for n := range c.nets {
		last = max(last, n)
	}
	for i, b := range c.blocks {
		if &c.blocks[i] != old {
			last = max(last, b.n)
		}
	}
	if old != nil && old.n > last {
		return old.n
	}
	if old != nil && old.n >= 0 && c.nets[old.n] == nil {
		return old.n
	}
	return last + 1
}

// say are the lines about network n, which is the container's own or is not.
func (c *lxcConf) say(n int, own bool, a spec.Attachment) []string {
	var out []string
	put := func(key, value string) {
		out = append(out, strings.TrimSuffix(lxcKey+strconv.Itoa(n)+"."+key+" = "+value, " "))
	}
	if own {
		for _, family := range []string{"ipv4", "ipv6"} { // an empty value ends what was said before
			put(family+".address", "")
			put(family+".gateway", "")
		}
	} else {
		put("type", veth)
		put("flags", "up")
		put("name", a.Interface)
	}
	put("link", a.Bridge)
	put("hwaddr", a.MAC)
	if a.MTU != 0 {
		put("mtu", strconv.Itoa(a.MTU))
	}
	for _, p := range a.Addrs {
		put(lxcFamily(p.Addr().Is4())+".address", p.String())
	}
	if !c.elsewhere(a.Interface) {
		for _, gw := range a.Gateways {
			put(lxcFamily(gw.Is4())+".gateway", gw.String())
		}
	}
	return out
}

func lxcFamily(is4 bool) string {
	if is4 {
		return "ipv4"
	}
	return "ipv6"
}

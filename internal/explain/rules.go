package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// rules are the packet filters: in two tables of the cluster's, whose rules say by their
// comments what they are for.
func (w *writer) rules() error {
	frames, packets := newTable(bridgeFamily), newTable(inetFamily)
	for _, g := range w.own.Gateways {
		w.gateway(frames, g)
	}
	for _, g := range w.own.Guards {
		w.guard(frames, packets, g)
	}
	for _, d := range w.own.Doors {
		door(packets, d)
	}
	for _, n := range w.own.NATs {
		masquerade(packets, n)
	}
	w.inner(packets)
	var text strings.Builder
	for _, t := range []*table{frames, packets} {
		if len(t.rules) > 0 {
			text.WriteString(t.text(w.table()))
		}
	}
	if text.Len() > 0 {
		w.build(w.aboutRules(), load(text.String()))
	}
	for _, g := range w.own.Guards {
		if g.DHCP {
			w.buildRogues(g)
		}
	}
	keeps := newTable(inetFamily) // its chain is the table's last
	for _, k := range w.own.Keeps {
		preserve(keeps, k)
	}
	if len(keeps.rules) > 0 {
		w.build("Between members the source address stays, whatever masquerading rules others have: a connection whose source is\ndecided is not asked about again.", load(keeps.text(w.table())))
	}
	w.forwards()
	if text.Len()+len(keeps.rules) > 0 {
		w.undoRules()
	}
	return nil
}

func (w *writer) table() string { return "flock-" + w.full.Cluster }

func load(text string) string { return "nft -f - <<'EOF'\n" + text + "EOF" }

func (w *writer) aboutRules() string {
	var about []string
	say := func(yes bool, text string) {
		if yes {
			about = append(about, text)
		}
	}
	say(true, "Packet filters, in tables that all networks of the cluster share; comments say what a rule is for.")
	say(len(w.own.Gateways) > 0, "gateway: its address and MAC are the same on every member, answered for on the spot and kept out of the tunnel.")
	say(len(w.own.Guards) > 0, "ports: containers pretend to be no server, and do not reach the ports of tunnels.")
	say(len(w.own.Doors) > 0, "door: only neighbours reach the BGP daemon.")
	say(len(w.own.NATs) > 0, "masquerade: containers leave with the server's address.")
	if slices.ContainsFunc(w.own.Gateways, func(g spec.Gateway) bool {
		return slices.ContainsFunc(g.Addrs, func(a netip.Addr) bool { return a.Is6() })
	}) {
		about = append(about,
			"IPv6: flock also writes the common MAC into neighbour advertisements, with their checksum mended. nft has no word",
			"for that: containers learn this server's own MAC for the gateway, which the other members take in as well. Until nftables",
			"1.0.8 it has none either for a set of targets: here the rule holds the addresses itself.")
	}
	return strings.Join(about, "\n")
}

// buildRogues asks the kernel which of the two it knows, as the agent does.
func (w *writer) buildRogues(g spec.Guard) {
	frames, packets := w.rogues(g)
	try := newTable(bridgeFamily)
	try.add("prerouting", "try", `meta ibrname "none"`)
	w.build("No container hands out addresses or advertises itself as a router. Kernels without CONFIG_NFT_BRIDGE_META are\nasked by way of br_netfilter.",
		"if nft -c -f - 2>/dev/null <<'EOF'", strings.TrimSuffix(try.text("flock-trial"), "\n"), "EOF", "then", load(frames.text(w.table())), "else", load(packets.text(w.table())), "fi")
}

// forwards says what is let through where rules of others drop it.
func (w *writer) forwards() {
	if len(w.own.Forwards) == 0 {
		return
	}
	var names []string
	for _, f := range w.own.Forwards {
		names = append(names, f.Name())
	}
	slices.Sort(names)
	six := slices.ContainsFunc(w.own.Addrs, func(a spec.Addr) bool { return a.Prefix.Addr().Is6() })
	var commands []string
	for _, f := range w.own.Forwards {
		from, to := "-i "+word(f.Link), "-o "+word(f.Link)
		if f.Link == "" {
			from, to = "-s "+f.Subnet.String(), "-d "+f.Subnet.String()
		}
		mark := "-m comment --comment " + word(spec.Alias(w.full.Cluster, w.Network)) + " -j ACCEPT"
		programs := []string{"iptables"}
		switch {
		case f.Link == "" && f.Subnet.Addr().Is6():
			programs = []string{"ip6tables"}
		case f.Link != "" && six:
			programs = append(programs, "ip6tables")
		}
		for _, program := range programs {
			insert := "#   " + program + " -I DOCKER-USER "
			commands = append(commands, insert+from+" "+to+" "+mark, insert+to+" -m conntrack --ctstate RELATED,ESTABLISHED "+mark)
		}
	}
	w.build("Where a forward chain of others drops what it does not know (Docker's), flock accepts there what is\nof "+strings.Join(names, ", ")+
		", and what goes from it to each device that leads out, -o eth0 for instance.\nNothing of that is needed on a server without such rules.", commands...)
}

// undoRules removes the tables, or from shared ones the rules of the network.
func (w *writer) undoRules() {
	name := w.table()
	if !w.othersFilter() {
		w.undo("The tables, whichever there are.", "for family in bridge inet; do", "	nft delete table $family "+name+" 2>/dev/null || true", "done")
		return
	}
	w.undo("Rules of other networks are in the same tables: those of "+w.Network+" go, by their comments.",
		"for family in bridge inet; do",
		"	nft -a list table $family "+name+" 2>/dev/null |",
		`		awk -v of=`+word(w.Network)+` -v table="$family `+name+`" '$1 == "chain" { chain = $2 }`,
		`			match($0, /comment "[a-z]+ [^ ]+/) { split(substr($0, RSTART, RLENGTH), c, " "); if (c[3] "" == of "") print "delete rule", table, chain, "handle", $NF }' |`,
		"		nft -f -",
		"done")
}

// othersFilter says whether another network has rules on the server.
func (w *writer) othersFilter() bool {
	f, o := w.full, w.own
	count := func(h *spec.Host) int {
		return len(h.Gateways) + len(h.Guards) + len(h.Doors) + len(h.NATs) + len(h.Keeps)
	}
	return count(f) > count(o)
}

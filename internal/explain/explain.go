// Package explain writes down a network as the commands that build it on a server, and
// those that undo it: ip, bridge, wg, nft, sysctl, and the files of dnsmasq and systemd.
//
// It works from a spec alone, and refuses to know what kind of network asked for it, to
// look at a server or to run anything. Names, marks and the text of files are those that
// the agent uses, so that listings of a server which ran the commands are the same.
package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Step is a group of commands with a word on them.
type Step struct {
	About    string   // why, in a line or several; "": the step before says it
	Commands []string // lines of a POSIX shell; none: what no command does
}

// Script is what one network is on one server.
type Script struct {
	Network, Server string
	Generation      uint64 // of the cluster file
	Build, Undo     []Step // in the order in which they must run
	networkd        bool   // it writes files of systemd-networkd
}

// Empty says whether the server has no part in the network.
func (s *Script) Empty() bool { return len(s.Build) == 0 }

// writer gathers the script of one network.
type writer struct {
	full *spec.Host // everything on the server
	own  *spec.Host // what is the network's
	kept []string   // settings of the whole server that something else there asks for, by key
	Script
}

// Of is the script of a network. Full is all that its server has; asked says which of its
// routes and settings the network asks for (network.CompileWith), others what each other network
// asks for there.
func Of(full, asked *spec.Host, others []*spec.Host, network string) (*Script, error) {
	w := &writer{full: full, own: belonging(full, asked, network), kept: kept(full, others)}
	w.Network, w.Server, w.Generation = network, full.Server, full.Generation
	if w.own.Empty() {
		return &w.Script, nil
	}
	for _, part := range []func() error{
		w.unmanaged, w.links, w.linkSettings, w.addresses, w.neighbours, w.peers, w.rules, w.raise, w.settings, w.routes,
		w.attachments, w.dockers, w.adopted, w.dhcp, w.environment, w.speaker, w.rest,
	} {
		if err := part(); err != nil {
			return nil, fmt.Errorf("explain %s on %s: %w", network, full.Server, err)
		}
	}
	slices.Reverse(w.Undo)
	return &w.Script, nil
}

// belonging is what of a server is the network's. Claims are not: they make nothing.
func belonging(full, asked *spec.Host, network string) *spec.Host {
	links := map[string]bool{}
	own := &spec.Host{Cluster: full.Cluster, Store: full.Store, Server: full.Server, Generation: full.Generation}
	own.Links = of(full.Links, func(l spec.Link) bool { return l.Network == network })
	for _, l := range own.Links {
		links[l.Name] = true
	}
	own.Addrs = of(full.Addrs, func(a spec.Addr) bool { return links[a.Link] })
	own.Neighs = of(full.Neighs, func(n spec.Neigh) bool { return links[n.Link] })
	own.FDB = of(full.FDB, func(f spec.FDB) bool { return links[f.Link] })
	own.Floods = of(full.Floods, func(f spec.Flood) bool { return links[f.Link] })
	own.Members = of(full.Members, func(m spec.Member) bool { return links[m.Link] })
	own.Peers = of(full.Peers, func(p spec.Peer) bool { return links[p.Link] })
	own.Gateways = of(full.Gateways, func(g spec.Gateway) bool { return g.Network == network })
	own.Guards = of(full.Guards, func(g spec.Guard) bool { return g.Network == network })
	own.Doors = of(full.Doors, func(d spec.Door) bool { return d.Network == network })
	own.NATs = of(full.NATs, func(n spec.NAT) bool { return n.Network == network })
	own.Keeps = of(full.Keeps, func(k spec.PreserveSource) bool { return k.Network == network })
	own.Forwards = of(full.Forwards, func(f spec.Forward) bool { return f.Network == network })
	own.DHCPs = of(full.DHCPs, func(d spec.DHCP) bool { return d.Network == network })
	own.Envs = of(full.Envs, func(e spec.SubnetEnv) bool { return e.Network == network })
	own.Attached = of(full.Attached, func(a spec.Attachment) bool { return a.Network == network })
	own.Dockers = of(full.Dockers, func(d spec.DockerNet) bool { return d.Network == network })
	if asked != nil {
		own.Routes = of(full.Routes, func(r spec.Route) bool { return slices.Contains(asked.Routes, r) })
		own.Sysctls = of(full.Sysctls, func(s spec.Sysctl) bool { return slices.Contains(asked.Sysctls, s) })
	}
	if full.BGP != nil && full.BGP.Network == network {
		own.BGP = full.BGP
	}
	if len(own.Links)+len(own.Attached) > 0 {
		own.Unmanaged = full.Unmanaged // one file for all networks
	}
	return own
}

func of[T any](list []T, is func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return !is(v) })
}

// build adds a step to what builds.
func (w *writer) build(about string, commands ...string) {
	w.Build = append(w.Build, Step{about, commands})
}

// undo adds a step to what undoes: before those that were added earlier.
func (w *writer) undo(about string, commands ...string) {
	w.Undo = append(w.Undo, Step{about, commands})
}

// Text is the script that builds, with what undoes it as comments at its end; with undo it
// is the script that undoes. Both are for a POSIX shell, run by root.
func (s *Script) Text(cluster string, undo bool) string {
	var b strings.Builder
	what, list := "builds", s.Build
	if undo {
		what, list = "undoes", s.Undo
	}
	fmt.Fprintf(&b, "#!/bin/sh\n# What %s network %s on server %s, as generation %d of cluster %s has it.\n", what, s.Network, s.Server, s.Generation, cluster)
	if s.networkd {
		b.WriteString("# It wants root, and systemd-networkd 252 or later.\n")
	} else {
		b.WriteString("# It wants root, iproute2, procps and, where they are called, nftables, dnsmasq and wireguard-tools.\n")
	}
	if undo {
		b.WriteString("# It goes on where something is gone already.\nset -u\n")
	} else {
		b.WriteString("set -eu\numask 022\n")
	}
	writeSteps(&b, list, "")
	if !undo {
		format := ""
		if s.networkd {
			format = " --format networkd"
		}
		fmt.Fprintf(&b, "\n# What undoes it, in this order; as a script: flock explain %s %s%s --undo\n", s.Network, s.Server, format)
		writeSteps(&b, s.Undo, "#     ")
	}
	return b.String()
}

func writeSteps(b *strings.Builder, list []Step, before string) {
	for _, s := range list {
		if s.About != "" {
			if before == "" {
				b.WriteByte('\n')
			}
			for line := range strings.SplitSeq(s.About, "\n") {
				b.WriteString("# " + line + "\n")
			}
		}
		for _, c := range s.Commands {
			for line := range strings.SplitSeq(strings.TrimSuffix(c, "\n"), "\n") {
				b.WriteString(strings.TrimRight(before+line, " ") + "\n")
			}
		}
	}
}

// word is text as one word of a shell.
func word(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,+=@%", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// line joins words with a space, those that are empty left out.
func line(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// option is " KEY VALUE" without its first space, or nothing where there is no value.
func option(key, value string) string {
	if value == "" || value == "0" {
		return ""
	}
	return key + " " + word(value)
}

// file writes a file by a here document.
func file(path, text string) string {
	const end = "EOF"
	return "cat >" + word(path) + " <<'" + end + "'\n" + strings.TrimSuffix(text, "\n") + "\n" + end
}

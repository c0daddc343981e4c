//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// lookAround finds out what others have here that wants forwarding. It is asked only when
// a setting of the server is about to go back.
func (k *Kernel) lookAround() (*surroundings, error) {
	s := &surroundings{bridges: k.otherBridges(), tunnels: k.otherWireGuards()}
	var err error
	if s.rules, err = k.nft.othersRules(); err != nil {
		return nil, err
	}
	if s.daemons, err = networkDaemons(); err != nil {
		return nil, err
	}
	files, err := settingFiles(k.services.paths.sysctls)
	if err != nil {
		return nil, err
	}
	s.files = bootSettings(files)
	return s, nil
}

func (k *Kernel) otherBridges() []otherBridge {
	var out []otherBridge
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		l, ok := k.devices.byName[name].(*netlink.Bridge)
		if !ok || flocks(l) {
			continue
		}
		b := otherBridge{name: name, leads: k.leads(l.Index)}
		b.ports = len(slices.DeleteFunc(k.portsOf(l.Index), flocks))
		for _, a := range k.addrs {
			if p := toPrefix(a.IPNet).Addr(); a.LinkIndex == l.Index && p.IsGlobalUnicast() {
				b.four, b.six = b.four || p.Is4(), b.six || p.Is6()
			}
		}
		out = append(out, b)
	}
	return out
}

// otherWireGuards are devices that are up, of the kernel or of a process (whose socket
// tells, wg(8)).
func (k *Kernel) otherWireGuards() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		l := k.devices.byName[name]
		if flocks(l) || l.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		if l.Type() == spec.WireGuard || l.Type() == "tuntap" && sysfile.Exists("/var/run/wireguard/"+name+".sock") {
			out = append(out, name)
		}
	}
	return out
}

// networkDaemons are programs that make bridges and rules whenever somebody wants a
// network of them, and of which one runs in this network namespace.
func networkDaemons() ([]string, error) {
	known := []string{"dockerd", "libvirtd", "virtnetworkd", "lxd", "incusd", "kubelet", "k3s-server", "k3s-agent", "podman"}
	pids, own, err := unit.Processes()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, pid := range pids {
		comm, err := sysfile.Read("/proc/" + pid + "/comm")
		name := strings.TrimSpace(string(comm))
		if err != nil || !slices.Contains(known, name) || slices.Contains(out, name) {
			continue // or it has just ended
		}
		if unit.SharesNetwork(pid, own) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// settingFiles reads what systemd-sysctl and sysctl --system do: of files of one name that
// of the first directory, in the order of the names, /etc/sysctl.conf at last.
func settingFiles(dirs []string) ([]textFile, error) {
	chosen := map[string]string{}
	for _, dir := range dirs {
		found, err := sysfile.List(dir, "", ".conf")
		if err != nil {
			return nil, fmt.Errorf("list settings: %w", err)
		}
		for _, path := range found {
			if _, taken := chosen[filepath.Base(path)]; !taken && filepath.Base(path) != "sysctl.conf" {
				chosen[filepath.Base(path)] = path
			}
		}
	}
	var out []textFile
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		out = append(out, textFile{path: chosen[name]})
	}
	if len(dirs) > 0 {
		out = append(out, textFile{path: filepath.Join(filepath.Dir(dirs[0]), "sysctl.conf")})
	}
	for i := range out {
		text, err := sysfile.Read(out[i].path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		out[i].text = string(text)
	}
	return out, nil
}

// othersRules finds rules of others about what is forwarded: those that translate
// addresses, and accepts of a forward hook that name a device or an address.
func (n *nft) othersRules() ([]otherRules, error) {
	var out []otherRules
	err := n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		out = nil
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		for _, ch := range chains {
			if strings.HasPrefix(ch.Table.Name, tablePrefix) || !seesIP(ch.Table.Family) {
				continue
			}
			list, err := rules.of(ch)
			if err != nil {
				return err
			}
			for _, r := range list {
				if what := forwards(ch, r); what != "" {
					out = append(out, otherRules{
						what: what + " in " + ch.Table.Name + " " + ch.Name,
						four: ch.Table.Family != nftables.TableFamilyIPv6, six: ch.Table.Family != nftables.TableFamilyIPv4,
					})
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	legacy, err := legacyRules()
	return append(out, legacy...), err
}

// forwards says what of a rule is about forwarded packets, "" for nothing. Accepts of
// flock's in chains of others bear its mark.
func forwards(ch *nftables.Chain, r *nftables.Rule) string {
	if strings.HasPrefix(commentOf(r), spec.AliasPrefix) {
		return ""
	}
	narrow, accepts := false, false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Masq:
			return "masquerade"
		case *expr.NAT:
			return "address translation"
		case *expr.Target:
			if slices.Contains([]string{"MASQUERADE", "SNAT", "DNAT", "NETMAP"}, e.Name) {
				return strings.ToLower(e.Name)
			}
		case *expr.Meta:
			narrow = narrow || e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME || e.Key == expr.MetaKeyIIF || e.Key == expr.MetaKeyOIF
		case *expr.Payload:
			narrow = narrow || e.Base == networkLayer
		case *expr.Verdict:
			accepts = e.Kind == expr.VerdictAccept
		}
	}
	if narrow && accepts && ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward {
		return "an accept"
	}
	return ""
}

// legacyRules finds masquerading in the iptables before nftables.
func legacyRules() ([]otherRules, error) {
	var out []otherRules
	for _, t := range legacyTables {
		program, err := t.find("nat")
		if err != nil || program == "" {
			if err != nil {
				return nil, err
			}
			continue
		}
		list, err := runLegacy(program, "-t", "nat", "-S")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			if _, target, ok := strings.Cut(line, " -j "); ok && slices.Contains([]string{"MASQUERADE", "SNAT", "DNAT", "NETMAP"}, firstWord(target)) {
				out = append(out, otherRules{what: strings.ToLower(firstWord(target)) + " of " + t.program, four: !t.six, six: t.six})
				break
			}
		}
	}
	return out, nil
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return word
}

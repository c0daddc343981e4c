package explain

import (
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
	"github.com/flocknet/flock/templates"
)

// Where things are on a server (the agent's host.ServerPaths).
const (
	libDir  = "/var/lib/flock"
	runDir  = "/run/flock"
	unitDir = "/etc/systemd/system"
	// dnsmasq is where distributions have it.
	dnsmasq = "/usr/sbin/dnsmasq"
)

func (w *writer) files() *written.Cluster {
	return &written.Cluster{Name: w.full.Cluster, Dir: libDir + "/" + w.full.Cluster, Run: runDir + "/" + w.full.Cluster + ".d"}
}

// unit is the name of a daemon's unit: no name has a colon, a cluster's may have a dash.
func (w *writer) unit(daemon string) string {
	return "flock-" + strings.ReplaceAll(w.full.Cluster, "-", ":") + "-" + daemon + ".service"
}

// unmanaged tells network daemons to leave the devices alone.
func (w *writer) unmanaged() error {
	for _, u := range w.own.Unmanaged {
		data, err := wire.Marshal(u)
		if err != nil {
			return err
		}
		t := templates.Unmanaged{Mark: w.full.Cluster, Spec: string(data), Links: u.Links}
		networkd, err := t.Networkd()
		if err != nil {
			return err
		}
		manager, err := t.NetworkManager()
		if err != nil {
			return err
		}
		paths := [2]string{"/etc/systemd/network/00-flock-" + w.full.Cluster + ".network", "/etc/NetworkManager/conf.d/flock-" + w.full.Cluster + ".conf"}
		w.build("systemd-networkd and NetworkManager, where they run, leave the devices alone: otherwise they take away what they\ndid not set. One file is for all networks of the cluster.",
			"if [ -e /run/systemd/netif/state ]; then", "mkdir -p /etc/systemd/network", file(paths[0], networkd), "networkctl reload || true", "fi",
			"if [ -d /run/NetworkManager ] && [ -d /etc/NetworkManager ]; then", "mkdir -p /etc/NetworkManager/conf.d", file(paths[1], manager), "systemctl reload NetworkManager.service || true", "fi")
		if len(w.full.Links) > len(w.own.Links) {
			w.undo("What network daemons leave alone stays: it is for other networks of this server too.")
			continue
		}
		w.undo("What network daemons leave alone.", "rm -f "+paths[0]+" "+paths[1], "if [ -e /run/systemd/netif/state ]; then networkctl reload || true; fi")
	}
	return nil
}

// dhcp is one dnsmasq, or two where other servers know more names.
func (w *writer) dhcp() error {
	for _, d := range w.own.DHCPs {
		about := "DHCP and DNS of the containers here, by dnsmasq."
		if d.Zone != nil { // dnsmasq alone hears no other server that routes lead to
			d.Peers, d.Zone = nil, nil
			about += " For names of containers on other\nservers flock has a process of its agent ask its like there; that is left out."
		}
		list, err := w.files().DNSMasqs(&d, dnsmasq)
		if err != nil {
			return err
		}
		for _, p := range list {
			if !p.Leaf {
				if err := w.frontAlone(d, p); err != nil {
					return err
				}
			}
			w.dnsmasq(p, about)
		}
	}
	return nil
}

// frontAlone has the front ask the leaves of all servers itself.
func (w *writer) frontAlone(d spec.DHCP, p *written.DNSMasq) error {
	var ask []string
	for _, peer := range append(d.Listen[:1:1], d.Peers...) {
		ask = append(ask, peer.String())
	}
	var text strings.Builder
	for _, a := range ask {
		f := templates.Front{Domains: []string{d.Domain}, Names: a + "#" + num(written.LeafPort)}
		for _, r := range d.Ranges {
			if subnet := r.Subnet.String(); !slices.Contains(f.Subnets, subnet) {
				f.Subnets = append(f.Subnets, subnet)
			}
		}
		servers, err := f.Servers()
		if err != nil {
			return err
		}
		text.WriteString(servers)
	}
	p.Soft[p.Servers] = text.String()
	return nil
}

func (w *writer) dnsmasq(p *written.DNSMasq, about string) {
	unit, dirs := w.unit(p.Daemon), []string{w.files().Dir, w.files().Run}
	if !p.Leaf {
		about = "DNS with the names of all servers' containers: it asks the dnsmasq of each. flock has a process of its agent\n" +
			"ask them, which waits for none that is away, and agrees with them which container has a name."
	}
	commands := []string{"mkdir -p " + strings.Join(dirs, " ")}
	if p.Leaf {
		commands = append(commands, "mkdir -p "+word(p.Names))
	}
	for _, path := range slices.Sorted(maps.Keys(p.Soft)) {
		commands = append(commands, file(path, p.Soft[path]))
	}
	if p.Leaf {
		commands = append(commands, file(p.Leased, p.LeasedText), "chmod 755 "+word(p.Leased))
	}
	commands = append(commands, file(p.Conf, p.ConfText))
	w.build(about, commands...)
	w.build("The unit is started, not enabled. Nothing here comes back after a reboot by itself: flock has a unit for that,\nwhich builds all of it again.",
		"if [ -d /run/systemd/system ]; then", file(unitDir+"/"+unit, p.UnitText), "systemctl restart "+word(unit), "else", p.Program+" --conf-file="+word(p.Conf), "fi")
	w.undo("dnsmasq, its files and its leases.",
		"if [ -d /run/systemd/system ]; then", "	systemctl stop "+word(unit), "elif [ -s "+word(p.PIDFile)+" ]; then", `	kill "$(cat `+word(p.PIDFile)+`)"`, "fi",
		"rm -rf "+strings.Join([]string{word(unitDir + "/" + unit), word(p.Conf), word(p.Hosts), word(p.Known), word(p.Servers), word(p.Leases), word(p.Leased), word(p.Names), word(p.PIDFile)}, " "))
}

// environment is flannel's file.
func (w *writer) environment() error {
	for _, e := range w.own.Envs {
		text, err := written.Env(w.full.Cluster, e)
		if err != nil {
			return err
		}
		dir := runDir + "/" + e.Network
		w.build("The server's subnet for CNI plugins and Docker, in flannel's format.", "mkdir -p "+word(dir), file(dir+"/subnet.env", text))
		w.undo("", "rm -f "+word(dir+"/subnet.env"), "rmdir "+word(dir)+" 2>/dev/null || true")
	}
	return nil
}

// rest removes directories that nothing is in any more.
func (w *writer) rest() error {
	f := w.files()
	w.Undo = append([]Step{{"Directories, if they are empty now.", []string{"rmdir " + strings.Join([]string{word(f.Run), runDir, word(f.Dir), libDir}, " ") + " 2>/dev/null || true"}}}, w.Undo...)
	return nil
}

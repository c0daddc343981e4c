package explain

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// peers are WireGuard's. Private keys are in no spec.
func (w *writer) peers() error {
	for _, l := range w.own.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		key, dev := w.files().Dir+"/"+l.Name+".key", word(l.Name)
		commands := []string{
			"mkdir -p " + word(w.files().Dir),
			"[ -s " + word(key) + " ] || (umask 077 && wg genkey >" + word(key) + ")",
			line("wg set", dev, "listen-port", portText(l.Port), "private-key", word(key)),
		}
		for _, p := range w.own.Peers {
			if p.Link != l.Name {
				continue
			}
			if strings.HasPrefix(p.Key, "(") { // spec.PlannedKey
				commands = append(commands, "# a peer is missing: "+p.Key)
				continue
			}
			var allowed []string
			for _, a := range p.Allowed {
				allowed = append(allowed, a.String())
			}
			commands = append(commands, line("wg set", dev, "peer", word(p.Key), option("endpoint", p.Endpoint), option("persistent-keepalive", num(p.Keepalive)),
				option("allowed-ips", strings.Join(allowed, ","))))
		}
		w.build("The key pair and the peers, by their public keys. The private key is in a file that only root reads; where there is\n"+
			"none, a new pair is made: then the other members must be told its public key, wg show "+l.Name+" public-key, in the place of\n"+l.Key+".", commands...)
		w.undo("The key pair.", "rm -f "+word(key))
	}
	return nil
}

// attachments are interfaces of containers.
func (w *writer) attachments() error {
	for _, a := range w.own.Attached {
		kind, name, _ := strings.Cut(a.Container, "/")
		if kind == spec.Libvirt {
			w.guest(name, a)
			continue
		}
		pid := map[string]string{
			spec.LXC: "lxc-info -n " + name + " -pH", spec.Docker: "docker inspect -f '{{.State.Pid}}' " + name, spec.Podman: "podman inspect -f '{{.State.Pid}}' " + name,
		}[kind]
		into, enter := "$("+pid+")", "nsenter -n -t $("+pid+")"
		if kind == spec.NetNS {
			into, enter = name, "ip netns exec "+name
		}
		lines := []string{
			line("ip link add name", a.Host, option("mtu", num(a.MTU)), "type veth peer name", a.Interface, option("address", a.MAC), option("mtu", num(a.MTU)), "netns", into),
			"ip link set dev " + a.Host + " alias " + word(spec.Alias(w.full.Cluster, a.Network)),
			"ip link set dev " + a.Host + " master " + a.Bridge + " up",
			enter + " ip link set dev " + a.Interface + " up",
		}
		for i, p := range a.Addrs {
			lines = append(lines, enter+" ip addr add "+p.String()+" dev "+a.Interface)
			if i < len(a.Gateways) {
				lines = append(lines, enter+" ip route add default via "+a.Gateways[i].String())
			}
		}
		for i := range lines {
			lines[i] = "#   " + lines[i]
		}
		w.build("Interface "+a.Interface+" of "+a.Container+": a process of flock's agent attaches it whenever the container comes. By hand, while it is there:", lines...)
	}
	return nil
}

// guest is an interface of a guest of libvirt's.
func (w *writer) guest(name string, a spec.Attachment) {
	what := "--add-device --network model.type=virtio,mac.address=" + a.MAC + ",target.dev=" + a.Host + ","
	if a.Moved {
		what = "--edit mac=" + a.MAC + " --network "
	}
	what += "bridge=" + a.Bridge
	if a.MTU != 0 {
		what += ",mtu.size=" + num(a.MTU)
	}
	w.build("Interface "+a.Interface+" of "+a.Container+": libvirt keeps it. By hand (virt-xml is virtinst's; without --update: at the next start):", "#   virt-xml "+name+" "+what+" --update")
}

// dockers are networks of Docker's and Podman's.
func (w *writer) dockers() error {
	for _, d := range w.own.Dockers {
		o := map[string]string{}
		for words := strings.Fields(d.Options); len(words) > 1; words = words[2:] {
			o[words[0]] = words[1]
		}
		const bridge = " --opt com.docker.network.bridge."
		w.build("Network "+d.Network+" of Docker, where that runs. A process of flock's agent tells the network's DNS of its containers. Podman's is\na file, which the agent writes: podman network create makes none on a bridge that is there.",
			"! command -v docker >/dev/null || docker network create --driver bridge"+bridge+"name="+o["bridge"]+bridge+"inhibit_ipv4=true"+
				bridge+"enable_ip_masquerade=false --opt com.docker.network.driver.mtu="+o["mtu"]+" --subnet "+o["subnet"]+" --gateway "+o["gateway"]+
				" --ip-range "+o["docker"]+" "+word(d.Network))
		w.undo("The network of Docker. It stays while containers hang on it.", "! command -v docker >/dev/null || docker network rm "+word(d.Network))
	}
	return nil
}

// adopted are bridges of other programs behind which subnets are that the network shares.
func (w *writer) adopted() error {
	for _, a := range w.full.Adopted {
		if !slices.ContainsFunc(w.own.Keeps, func(k spec.PreserveSource) bool { return k.Subnet.Overlaps(a.Prefix) }) {
			continue
		}
		how := map[string]string{
			spec.LXCBridge:     "LXC_ADDR, LXC_NETMASK, LXC_NETWORK and LXC_DHCP_RANGE in /etc/default/lxc-net, then systemctl restart lxc-net",
			spec.DockerBridge:  `"bip": "` + a.Prefix.String() + `" in /etc/docker/daemon.json, then systemctl restart docker`,
			spec.LibvirtBridge: "the address and the range by virsh net-edit default, then virsh net-destroy default and virsh net-start default",
		}[a.Link]
		w.build(a.Prefix.Masked().String()+" is behind "+a.Link+", which its own program makes and flock gives "+a.Prefix.String()+". By hand, while nothing hangs on it:", "#   "+how)
	}
	return nil
}

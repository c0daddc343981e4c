//go:build linux

package guest

import (
	"slices"
	"strconv"
	"strings"
)

// NIC is an interface of a guest: an <interface> of its domain.
type NIC struct {
	MAC     string
	Bridge  string // that it is plugged into, as far as that is written; "": not known, or none
	Target  string // its end on the server; "": the guest does not run
	MTU     int    // 0: nothing is said
	Kind    string // its type: bridge, network, direct …
	model   string
	foreign bool // it is a port of another switch (Open vSwitch), not of a bridge of the kernel's
	*element
}

func nicOf(e *element) *NIC {
	n := &NIC{MAC: strings.ToLower(e.child("mac").attr("address")), Target: e.child("target").attr("dev"), Kind: e.attr("type"), model: e.child("model").attr("type"), element: e}
	n.MTU, _ = strconv.Atoi(e.child("mtu").attr("size"))
	n.Bridge = e.child("source").attr("bridge")
	if n.Bridge == "" {
		n.Bridge = e.child("actual").child("source").attr("bridge")
	}
	n.foreign = e.child("virtualport").name != "" || e.child("actual").child("virtualport").name != ""
	return n
}

// On says whether n is written to be a port of bridge.
func (n *NIC) On(bridge string) bool { return n.Kind == "bridge" && n.Bridge == bridge }

// Movable says whether libvirt can plug n into another bridge while its guest runs.
func (n *NIC) Movable() bool { return (n.Kind == "bridge" || n.Kind == "network") && !n.foreign }

// NIC is the interface with a MAC; nil if there is none.
func (d *Domain) NIC(mac string) *NIC {
	if d == nil {
		return nil
	}
	if i := slices.IndexFunc(d.NICs, func(n *NIC) bool { return n.MAC == mac }); i >= 0 {
		return d.NICs[i]
	}
	return nil
}

// Source is what an interface is plugged into, and its MTU: parts of an <interface>, in one.
func Source(bridge string, mtu int) string {
	return "<interface type='bridge'><source bridge='" + escape.Replace(bridge) + "'/>" + sized(mtu) + "</interface>"
}

func sized(mtu int) string {
	if mtu == 0 {
		return ""
	}
	return "<mtu size='" + strconv.Itoa(mtu) + "'/>"
}

// sourced are the elements that say what an interface is plugged into.
var sourced = []string{"source", "mtu"}

// Source is what n is plugged into.
func (n *NIC) Source() string {
	out := "<interface type='" + escape.Replace(n.Kind) + "'>"
	for _, e := range elements(n.inside) {
		switch {
		case e.name == "source" && n.Kind == "network": // of one that runs, libvirt says more than it takes
			out += "<source network='" + Attr(e.tag, "network") + "'"
			if group := Attr(e.tag, "portgroup"); group != "" {
				out += " portgroup='" + group + "'"
			}
			out += "/>"
		case slices.Contains(sourced, e.name):
			out += e.whole
		}
	}
	return out + "</interface>"
}

// SourceMTU is the MTU that a source has, 0 where it says none.
func SourceMTU(text string) int { return nicOf((&element{inside: text}).child("interface")).MTU }

// Text is n as it stands there.
func (n *NIC) Text() string { return n.whole }

// In is n plugged into what another source says; all else of it stays. With fixed its MTU stays,
// which libvirt changes of no guest that runs.
func (n *NIC) In(other string, fixed bool) string {
	like := (&element{inside: other}).child("interface")
	is := Attr(n.tag, "type")
	kind := strings.NewReplacer("type='"+is+"'", "type='"+Attr(like.tag, "type")+"'", `type="`+is+`"`, `type="`+Attr(like.tag, "type")+`"`)
	given := func(e *element) bool { return slices.Contains(sourced, e.name) && (e.name != "mtu" || !fixed) }
	var place, rest string
	for _, e := range elements(like.inside) {
		if given(e) {
			place += e.whole
		}
	}
	for _, e := range elements(n.inside) {
		switch {
		case given(e):
			rest, place = rest+place, ""
		case e.name != "actual":
			rest += e.whole
		}
	}
	return kind.Replace(n.tag) + rest + place + "</interface>"
}

// New is an interface that a guest is to get, of the sort that it has already.
func (d *Domain) New(mac, target, bridge string, mtu int) string {
	model := "virtio"
	if len(d.NICs) > 0 && d.NICs[0].model != "" {
		model = d.NICs[0].model
	}
	out := "<interface type='bridge'><mac address='" + mac + "'/><source bridge='" + escape.Replace(bridge) + "'/>"
	if target != "" {
		out += "<target dev='" + target + "'/>"
	}
	return out + "<model type='" + escape.Replace(model) + "'/>" + sized(mtu) + "</interface>"
}

// Labels are what flock calls the interfaces of d: as their marks do, the others eth0, eth1 and
// so on in the order in which the guest has them.
func (d *Domain) Labels(marks []Mark) []string {
	out := make([]string, len(d.NICs))
	for i, n := range d.NICs {
		if at := slices.IndexFunc(marks, func(m Mark) bool { return m.MAC == n.MAC }); at >= 0 {
			out[i] = marks[at].Interface
		}
	}
	for i := range out {
		for next := i; out[i] == ""; next++ {
			label := "eth" + strconv.Itoa(next)
			if !slices.Contains(out, label) {
				out[i] = label
			}
		}
	}
	return out
}

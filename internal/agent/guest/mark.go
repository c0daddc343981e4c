//go:build linux

package guest

import "strings"

// What flock gave to a guest stands in the guest's own metadata, an element for each cluster, as
// libvirt has it for programs like this one: it goes where the guest goes, and with it.

// Mark says that an interface of a guest is a cluster's.
type Mark struct {
	Cluster   string
	Interface string // what flock calls it
	MAC       string
	Network   string
	Was       string // the source that it had before; "": flock made it
}

// Key is the prefix of flock's elements in a guest's metadata.
const Key = "flock"

// unprefixed takes the prefix away that libvirt gives to all that is in an element.
var unprefixed = strings.NewReplacer("<"+Key+":", "<", "</"+Key+":", "</")

// space begins the namespaces of elements of clusters.
const space = "urn:flock:"

// Space is the namespace of the element of a cluster.
func Space(cluster string) string { return space + cluster }

// Marks are those of a cluster, "" of all.
func (d *Domain) Marks(cluster string) []Mark {
	if d == nil {
		return nil
	}
	var out []Mark
	for _, e := range elements(d.marks.inside) {
		its, ours := strings.CutPrefix(e.attr("xmlns:"+Key), space)
		if !ours || cluster != "" && its != cluster {
			continue
		}
		for _, n := range elements(unprefixed.Replace(e.inside)) {
			if n.name == "nic" {
				out = append(out, Mark{
					Cluster: its, Interface: n.attr("name"), MAC: n.attr("mac"), Network: n.attr("network"), Was: strings.TrimSpace(n.inside),
				})
			}
		}
	}
	return out
}

// Text is what a cluster's element says.
func Text(marks []Mark) string {
	out := "<attached>"
	for _, m := range marks {
		out += "<nic name='" + escape.Replace(m.Interface) + "' mac='" + escape.Replace(m.MAC) + "' network='" + escape.Replace(m.Network) + "'>" + m.Was + "</nic>"
	}
	return out + "</attached>"
}

package state

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// head begins every file that is written. Files with another one, or none, are read alike.
const head = `# The desired state of one cluster, with what flock allocated and what the servers last reported.
# Edit it while no flock runs, then: flock plan. Comments are not kept.

`

// Marshal returns the cluster as TOML: the same cluster gives the same bytes.
func (c *Cluster) Marshal() ([]byte, error) {
	b := bytes.NewBufferString(head)
	if err := toml.NewEncoder(b).Encode(c); err != nil {
		return nil, fmt.Errorf("write cluster %s as TOML: %w", c.Name, err)
	}
	return b.Bytes(), nil
}

// desired returns what a generation stands for, as bytes: everything but what was
// seen on the servers and the file's own bookkeeping.
func (c *Cluster) desired() ([]byte, error) {
	d := Cluster{Schema: Schema, Name: c.Name, ID: c.ID, Networks: c.Networks, Servers: make(map[string]*Server, len(c.Servers))}
	for name, s := range c.Servers {
		w := *s
		w.Facts, w.Confirmed = nil, nil
		d.Servers[name] = &w
	}
	return d.Marshal()
}

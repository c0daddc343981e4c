package ground

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"

	"github.com/flocknet/flock/internal/state"
)

// Cloud is what the route tables of a cloud are to have, in one region and by one login.
type Cloud struct {
	Kind    string // which cloud: its name before the ids of its tables
	Region  string // "": what the login says
	Profile string // of the cloud's own configuration; "": what the environment says

	Networks []CloudNetwork // by name
}

// CloudNetwork is a network whose packets travel by a cloud's route tables.
type CloudNetwork struct {
	Name    string
	Pools   []netip.Prefix
	Tables  []string // that were named; none: those of the members' subnets
	Members []CloudMember
}

// CloudMember is a member of such a network.
type CloudMember struct {
	Server string
	Addr   netip.Addr      // its own in the cloud
	At     *state.CloudNIC `json:"-"` // what the metadata service says of the interface with Addr; nil: it was not reached
	Routed []netip.Prefix  // what is behind it
}

// Sum is a checksum of c, "" where c wants nothing.
func (c *Cloud) Sum() string {
	if c == nil || len(c.Networks) == 0 {
		return ""
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // it has nothing that JSON lacks
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

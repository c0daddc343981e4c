package spec

// What an agent and the BGP daemon on its server say to each other: files in the
// cluster's directory that say how it is to be, and one BGPRequest and one BGPAnswer
// as JSON per connection to its socket in the cluster's directory for what runs.

// Names of the BGP daemon's files.
const (
	BGPFile          = "bgp.json"    // a BGP as JSON: what the daemon does when it starts and on BGPReload
	BGPSocket        = "bgp.sock"    // takes orders
	BGPAPISocket     = "gobgp.sock"  // GoBGP's own interface (gRPC), for gobgp --target unix://…
	bgpSecretPrefix  = "bgp-"        // starts the name of a password's file
	bgpSecretSuffix  = ".password"   // ends it
	WorkstationFile  = "workstation" // the address that the last session came from
	SpecFile         = "spec.json"   // the Host that was confirmed, as JSON
	CopySuffix       = ".copy"       // ends the name of a note's copy
	BGPRunningMarker = "bgp.ran"     // a daemon ran since the server started: the next one takes up its routes
)

// BGPSecretFile is the name of the file with the password that is called id.
func BGPSecretFile(id string) string { return bgpSecretPrefix + id + bgpSecretSuffix }

// Orders to the BGP daemon.
const (
	BGPReload = "reload" // take up BGPFile and the passwords; the answer comes when that is done
	BGPLook   = "look"   // nothing but the answer
	BGPEnd    = "end"    // tell the neighbours that this is for good, take the routes out of the kernel, end
)

// BGPRequest is what the agent asks of the daemon.
type BGPRequest struct {
	Op     string
	Status bool `json:",omitempty"` // answer with Status too
}

// BGPAnswer is what the daemon answers.
type BGPAnswer struct {
	Running *BGP       `json:",omitempty"` // what it does
	Status  *BGPStatus `json:",omitempty"`
	// Restart says, to BGPReload, that nothing was taken up: what changed needs a
	// daemon that is started anew. Routes and sessions survive that (RFC 4724).
	Restart bool   `json:",omitempty"`
	Error   string `json:",omitempty"`
}

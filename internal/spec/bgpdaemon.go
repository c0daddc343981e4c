package spec

import "net/netip"

// How an agent and the BGP daemon on its server talk: files in the cluster's directory
// hold the configuration; per connection to the daemon's socket in that directory there
// is one BGPRequest and one BGPAnswer, as JSON.

// Names of the BGP daemon's files.
const (
	BGPFile          = "bgp.json"    // a BGP as JSON: read when the daemon starts and on BGPReload
	BGPSocket        = "bgp.sock"    // takes requests
	BGPAPISocket     = "gobgp.sock"  // GoBGP's own interface (gRPC), for gobgp --target unix://…
	bgpSecretPrefix  = "bgp-"        // starts the name of a password's file
	bgpSecretSuffix  = ".password"   // ends it
	WorkstationFile  = "workstation" // the address that the last session came from
	SpecFile         = "spec.json"   // the Host that was confirmed, as JSON
	CopySuffix       = ".copy"       // ends the name of a note's copy
	BFDFile          = "bfd.json"    // BFD sessions, for the next daemon to continue
	BGPRunningMarker = "bgp.ran"     // a daemon has run since the server booted: the next one adopts its routes
)

// BGPSecretFile is the name of the file with the password that is called id.
func BGPSecretFile(id string) string { return bgpSecretPrefix + id + bgpSecretSuffix }

// Operations of a BGPRequest.
const (
	BGPReload = "reload" // apply BGPFile and the passwords, then answer
	BGPLook   = "look"   // only answer
	BGPEnd    = "end"    // close the sessions with a NOTIFICATION, remove the routes from the kernel, end

	BGPRoutes  = "routes"  // BGPStatus.Exchanges of Peers
	BGPRefresh = "refresh" // have Peers tell all again (RFC 2918), and tell them all: no session ends, no route is lost
	BGPReset   = "reset"   // end the sessions with Peers; new ones begin
)

// BGPRequest is what the agent asks of the daemon.
type BGPRequest struct {
	Op     string
	Status bool         `json:",omitempty"` // answer with Status too
	Peers  []netip.Addr `json:",omitempty"` // routes, refresh, reset: addresses of neighbours, at least one
}

// BGPAnswer is what the daemon answers.
type BGPAnswer struct {
	Running *BGP       `json:",omitempty"` // the configuration in use
	Status  *BGPStatus `json:",omitempty"`
	// Restart says, to BGPReload, that nothing was applied: the change needs a daemon
	// that is started anew. Routes and sessions survive that (RFC 4724).
	Restart bool   `json:",omitempty"`
	Error   string `json:",omitempty"`
}

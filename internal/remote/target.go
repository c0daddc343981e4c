package remote

import (
	"cmp"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/target"
)

// Local is the reserved name of the workstation itself as a server.
const Local = "local"

// Target is a server as the operator named it. What is empty or zero comes from
// ssh's config, then from ssh's defaults.
type Target struct {
	Name     string // the server's name; Local is this machine
	User     string
	Host     string // host name or IP address; empty: Name is an alias in ssh's config
	Port     uint16
	Identity string  // key file
	Jump     string  // as ssh -J: [USER@]HOST[:PORT],…; "none" for no jump
	Arch     string  // GOARCH if it is known: saves a question at first contact
	Place    string  // which of spec.Places has the agent; what is none of them is looked for
	Variant  Variant // of the agent that the server needs

	Connect time.Duration // for its first packet; 0: the dialer's
	Quiet   bool          // nothing is asked of the operator for it, nor is it given what was typed for others: it left the cluster
	Anew    bool          // log in, though ssh has a connection that is up: the host key is wanted

	// Formerly is how the server was reached so far; nil: as now. A host key that is known
	// there, and of which nothing is known at the new place, is taken without a question.
	Formerly *Target

	// First is what its agent is asked first; nil: not known. It then travels with the agent's
	// start where that is possible, and Session.Do with it waits for the answer alone.
	First *spec.Request

	behind string // this is a jump host: the server that is wanted
}

func (t Target) where() string {
	if t.behind != "" {
		return "server " + t.behind + ", jump host " + t.Name
	}
	return "server " + t.Name
}

// wanted is the name of the server that the operator knows.
func (t Target) wanted() string { return cmp.Or(t.behind, t.Name) }

// alias is the name that ssh's config is asked about: what would be typed to ssh.
func (t Target) alias() string {
	if t.Host != "" {
		return t.Host
	}
	return t.Name
}

func (t Target) local() bool { return t.Name == Local && t.Host == "" }

// hops splits a jump list into the last hop and the list before it.
func hops(jump string) (last, before string) {
	if i := strings.LastIndexByte(jump, ','); i >= 0 {
		return strings.TrimSpace(jump[i+1:]), strings.TrimSpace(jump[:i])
	}
	return strings.TrimSpace(jump), ""
}

// hop is one jump host before t as a target of its own; before are the jumps to it.
func (t Target) hop(name, before string) (Target, error) {
	name = strings.TrimPrefix(name, "ssh://")
	user, host, port, err := target.ParseHop(name)
	return Target{Name: name, User: user, Host: host, Port: port, Jump: before, behind: t.wanted()}, err
}

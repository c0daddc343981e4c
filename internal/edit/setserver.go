package edit

import (
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// ServerOptions are what is to change of a server: of Given the properties that Keys name,
// and those of Unset become what they are when addserver is not told. See Properties.
type ServerOptions struct {
	Given       state.Server
	Keys, Unset []string
	Rename      string // its new name; "": it keeps the one it has
	Replace     bool   // another machine, at the address of Given, takes its place
}

// property is something that addserver says of a server.
type property struct {
	key, flag string
	copy      func(to, from *state.Server)
}

func properties() []property {
	return []property{
		{"address", "the address", func(to, from *state.Server) { to.Address = from.Address }},
		{"user", "the user", func(to, from *state.Server) { to.User = from.User }},
		{"port", "the port", func(to, from *state.Server) { to.Port = from.Port }},
		{"identity", "-i", func(to, from *state.Server) { to.Identity = from.Identity }},
		{"jump", "-J", func(to, from *state.Server) { to.Jump = from.Jump }},
		{"interface", "--interface", func(to, from *state.Server) { to.Interface = from.Interface }},
		{"nat", "--nat", func(to, from *state.Server) { to.NAT = from.NAT }},
		{"endpoint", "--endpoint", func(to, from *state.Server) { to.Endpoint = from.Endpoint }},
	}
}

// Properties are the keys of a server's properties that SetServer knows.
func Properties() []string {
	var out []string
	for _, p := range properties() {
		out = append(out, p.key)
	}
	return out
}

// SetServer gives a server other properties, and a new name. What names its old address
// follows: its endpoint, and servers that are reached through it. What names addresses of
// its interfaces follows when these are known, see Follow.
func SetServer(c *state.Cluster, name string, o ServerOptions) error {
	if err := knowServer(c, name); err != nil {
		return err
	}
	where, s := "server "+name, c.Servers[name]
	if len(o.Keys)+len(o.Unset) == 0 && o.Rename == "" {
		return hint.Errorf(where, "flock setserver "+name+" [USER@]ADDRESS, or a flag of it", "nothing is to change")
	}
	was := *s
	if err := assign(s, o); err != nil {
		return hint.Pin(err, where)
	}
	readdress(c, s, &was, o.Keys)
	if o.Replace {
		takePlace(c, name, s, &was)
	}
	if err := network.CheckServer(c, name, s); err != nil {
		return ground.Locate(where, err)
	}
	if was.Address != s.Address || was.Port != s.Port || was.Jump != s.Jump {
		if err := checkOneName(c, []string{name}); err != nil {
			return err
		}
	}
	if o.Rename == "" || o.Rename == name {
		return nil
	}
	return RenameServer(c, name, o.Rename)
}

// assign sets the properties that are given or unset, and those that contradict them.
func assign(s *state.Server, o ServerOptions) error {
	given := func(key string) bool { return slices.Contains(o.Keys, key) }
	for _, key := range o.Unset {
		at := slices.IndexFunc(properties(), func(p property) bool { return p.key == key })
		switch {
		case at < 0:
			return hint.Errorf("", "one of: "+ground.JoinWords(Properties()), "%q is not a property of servers", key)
		case given(key):
			return hint.Errorf(key, "leave one away", "%s and --unset %s contradict each other", properties()[at].flag, key)
		}
		properties()[at].copy(s, &state.Server{})
	}
	for _, p := range properties() {
		if given(p.key) {
			p.copy(s, &o.Given)
		}
	}
	switch { // the last word counts: others can connect to it, or they cannot
	case given("nat") && o.Given.NAT && !given("endpoint"):
		s.Endpoint = ""
	case given("endpoint") && o.Given.Endpoint != "" && !given("nat"):
		s.NAT = false
	}
	return nil
}

// readdress has what names the address of s that was follow: the endpoint unless it is
// among what is given, and the jumps of other servers.
func readdress(c *state.Cluster, s, was *state.Server, given []string) {
	if was.Address == "" || s.Address == "" {
		return
	}
	if !slices.Contains(given, "endpoint") {
		s.Endpoint = option.MovedEndpoint(s.Endpoint, was, s)
	}
	for _, other := range c.Servers {
		other.Jump = option.MovedJump(other.Jump, was, s)
	}
}

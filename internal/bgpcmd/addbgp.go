package bgpcmd

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What addbgp and delbgp speak of.
const (
	bgpPeer      = "peer"
	bgpServer    = "server"
	bgpNetwork   = "network"
	bgpReflector = "reflector"
	bgpExternal  = "external"
)

// Words are the words that say what is added or taken out.
func Words() []string { return []string{bgpPeer, bgpNetwork, bgpReflector, bgpExternal} }

// bgpForm is what follows each word.
func bgpForm(word string) string {
	return map[string]string{
		bgpPeer: "MEMBER...", bgpServer: "SERVER...", bgpNetwork: "SERVER:CIDR...", bgpReflector: "SERVER...", bgpExternal: "SERVER PEERIP",
	}[word]
}

type addBGPOptions struct {
	as                 uint32
	passwordFile       string
	multihop, prefixes int64
	ttlSecurity        bool
	accept, announce   []string
	force, anycast     bool
	bfd                int
	preferOptions
}

const addBGPHelp = `Add to a BGP network:

  peer MEMBER...           members: SERVER, SERVER:INTERFACE, SERVER:IP or local
  network SERVER:CIDR...   container subnets behind members: all others get routes to them
                           With --anycast several members may have one subnet, for a
                           service: each announces it while it has an address or a network
                           in it, and the others use all that do
  reflector SERVER...      members as route reflectors: the others have sessions with them
                           only; a full mesh ends when those are up, no route is lost
  external SERVER PEERIP   a router, or a speaker of another AS, that a member has a
                           session with; --as is its AS (the network's own for a route
                           reflector). Only shared subnets are announced to it, and routes
                           that overlap them are refused. For a router that the member has
                           already, only the given options change.

The command waits up to 20 s for the router's session. If it does not come up, the reason
is shown; the exit status is 0.

No learned route takes over the traffic to the workstation, to other servers or to the
default gateway, unless --force allows it for this router: showbgp lists the routes that
are kept out of the kernel.

--backup makes a router the one that is used while no other is: its routes have the local
preference 50 instead of 100, and the paths that it is told are 3 longer. --local-pref and
--prepend set other numbers. --shutdown keeps traffic away from it, both ways, before work
on it (RFC 8326): routes by it are preferred to none, and it is told the community
65535:0; --shutdown=false ends that. All of this changes within the session. A router that
announces 65535:0 itself is left likewise.

--bfd watches a router on one of the server's subnets by packets 300 milliseconds apart
(BFD, RFC 5880; --bfd=MS for others; UDP port 3784): a silent router is left in less than
a second, after three packets or as many as it says. The router must have BFD on for this
server. A restart or upgrade of the daemon is told to it and loses nothing. When --bfd=0 ends
it, FRR and BIRD begin a new BGP session, unless FRR was told first.

--accept and --announce, once per line, are prefix lists: "PREFIX", or with "ge LENGTH",
"le LENGTH" its parts of that length. Without --accept everything is accepted except for
default routes. Containers keep their source address towards the prefixes of --accept.
The password (TCP MD5, RFC 2385) is stored in a file of root's on the server, nowhere else.

  flock addbgp bnet peer s2 s3
  flock addbgp bnet network s1:10.0.10.0/24 s2:10.0.11.0/24
  flock addbgp bnet network s1:10.0.50.1/32 s2:10.0.50.1/32 --anycast
  flock addbgp bnet reflector s1 s2
  flock addbgp bnet external s1 10.99.0.254 --as 65001 --password-file tor.key \
      --max-prefixes 1000 --accept "10.128.0.0/9 le 24" --accept 0.0.0.0/0
  flock addbgp bnet external s2 10.99.0.253 --as 65001 --backup
  flock addbgp bnet external s1 10.99.0.254 --bfd
  flock addbgp bnet external s1 10.99.0.254 --shutdown`

func newAddBGP(a *app) *cobra.Command {
	var o addBGPOptions
	cmd := &cobra.Command{
		Use:               "addbgp NAME peer|network|reflector|external ...",
		Short:             "add members, subnets, reflectors or routers to a BGP network",
		Long:              addBGPHelp,
		Args:              command.AtLeast(2),
		ValidArgsFunction: a.completeBGP(false),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] == bgpExternal && !o.anycast {
				return a.addExternal(cmd, args[0], args[2:], &o)
			}
			for _, name := range externalFlags {
				if cmd.Flags().Changed(name) && (name != "force" || args[1] != bgpNetwork) {
					return command.Refuse("flock addbgp "+args[0]+" external SERVER PEERIP --as ASN", "addbgp: --%s belongs to external", name)
				}
			}
			if o.anycast && args[1] != bgpNetwork {
				return command.Refuse("flock addbgp "+args[0]+" network SERVER:CIDR... --anycast", "addbgp: --anycast belongs to network")
			}
			wanted, err := addingBGP(args, &o, a.knows(cmd.Context()))
			if err != nil {
				return err
			}
			return a.addBGP(cmd.Context(), args[0], args[2:], wanted)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// flags adds those of external; --force belongs to network too.
func (o *addBGPOptions) flags(f *pflag.FlagSet) {
	f.Var(&asNumber{&o.as}, "as", "external: the router's autonomous system")
	f.StringVar(&o.passwordFile, "password-file", "", "external: `FILE` that holds the password of the session; - is the standard input, \"\" removes the password")
	f.Int64Var(&o.multihop, "multihop", 0, "external: the router may be `N` hops away, 2 to 255 (default: on one of the server's subnets)")
	f.BoolVar(&o.ttlSecurity, "ttl-security", false, "external: drop packets from farther away than --multihop allows (RFC 5082)")
	bfdFlag(f, &o.bfd, "external: watch the router by packets `MS` milliseconds apart (BFD); 0 ends that")
	f.Int64Var(&o.prefixes, "max-prefixes", 0, "external: end the session when there are more than `N` prefixes of a family (default: no limit)")
	f.StringArrayVar(&o.accept, "accept", nil, "external: `PREFIX[ ge N][ le N]` to accept; repeatable")
	f.StringArrayVar(&o.announce, "announce", nil, "external: `PREFIX[ ge N][ le N]` to announce; repeatable (default: all shared subnets)")
	f.BoolVar(&o.anycast, "anycast", false, "network: several members have the subnet, and each announces it while it has it")
	o.preferOptions.flags(f)
	f.BoolVar(&o.force, "force", false, "external: accepted routes may take over any traffic; network: "+command.ForceShare)
}

var externalFlags = []string{"as", "password-file", "multihop", "bfd", "ttl-security", "max-prefixes", "accept", "announce", "force", "backup", "shutdown", "local-pref", "med", "prepend", "community"}

// knows says of names whether the cluster file has such a server.
func (a *app) knows(ctx context.Context) func(string) bool {
	c, err := a.Load(ctx)
	return func(name string) bool { return err == nil && c.Servers[name] != nil }
}

// meant are words where a role was to stand first: all of them, or those behind one
// that is no server and so was meant for the role.
func meant(words []string, known func(string) bool) string {
	if len(words) == 1 && !known(ground.ServerOf(words[0])) {
		return bgpForm(bgpPeer)
	}
	if len(words) > 1 && !known(ground.ServerOf(words[0])) {
		words = words[1:]
	}
	return strings.Join(words, " ")
}

// addingBGP is the edit that the words of addbgp ask for.
func addingBGP(args []string, o *addBGPOptions, known func(string) bool) (func(*state.Cluster) error, error) {
	name, what, rest := args[0], args[1], args[2:]
	wanted := map[string]func(*state.Cluster, string, []string) error{
		bgpPeer: edit.JoinBGP, bgpReflector: edit.AddReflectors,
		bgpNetwork: func(c *state.Cluster, name string, shares []string) error {
			return edit.ShareBGP(c, name, shares, o.force, o.anycast)
		},
	}[what]
	switch {
	case wanted == nil:
		return nil, command.Refuse("flock addbgp "+name+" peer "+meant(args[1:], known), "addbgp: say what is added: peer, network, reflector or external, not %q", what)
	case len(rest) == 0:
		return nil, command.Refuse("flock addbgp "+name+" "+what+" "+bgpForm(what), "addbgp: nothing follows %q", what)
	}
	return func(c *state.Cluster) error { return wanted(c, name, rest) }, nil
}

func (a *app) addBGP(ctx context.Context, name string, what []string, wanted func(*state.Cluster) error) error {
	return a.alterBGP(ctx, name, command.Alter{
		Request: change.Request{Edit: wanted},
		Already: command.AlreadyThere(what, name),
		Said:    func(out *change.Outcome) string { return command.Ready(out, name) },
	})
}

func (a *app) addExternal(cmd *cobra.Command, name string, args []string, o *addBGPOptions) error {
	server, address, err := externalNamed("addbgp", name, args)
	if err != nil {
		return err
	}
	options, secrets, err := o.external(a, cmd)
	if err != nil {
		return err
	}
	session := change.Outside{Server: server, Addr: address}
	talks := func(out *change.Outcome) string {
		does := " talks to "
		if session.Down(out.Unheard) {
			does = " is set up and does not talk yet to "
		}
		return server + does + address.String() + ", flock showbgp " + server
	}
	return a.alterBGP(cmd.Context(), name, command.Alter{
		Request: change.Request{
			Edit:    func(c *state.Cluster) error { return edit.AddExternal(c, name, server, address, options) },
			Secrets: secrets, Await: &change.Await{Outside: &session},
		},
		Already: func(out *change.Outcome) string {
			return bgpExternal + " " + server + " " + address.String() + ": already so in " + name + "\n" + talks(out)
		},
		Said: talks,
	})
}

// externalNamed reads SERVER PEERIP.
func externalNamed(verb, name string, args []string) (server string, address netip.Addr, err error) {
	next := "flock " + verb + " " + name + " external SERVER PEERIP"
	if len(args) != 2 {
		if verb == "addbgp" && len(args) == 3 && strings.Trim(args[2], "0123456789") == "" { // as routers take it: the AS behind the address
			next = hint.Shell("flock", verb, name, "external", args[0], args[1], "--as", args[2])
		}
		return "", netip.Addr{}, command.Refuse(next, "%s: external takes a server and the router's address", verb)
	}
	address, err = netip.ParseAddr(strings.Trim(args[1], "[]"))
	if err != nil {
		return "", netip.Addr{}, command.Refuse(strings.Replace(next, "SERVER", args[0], 1), "%q is not an IP address", args[1])
	}
	return args[0], address, nil
}

// external turns the flags that were given into what the network takes, and the
// password by the id that it goes by from now on.
func (o *addBGPOptions) external(a *app, cmd *cobra.Command) (out edit.ExternalOptions, secrets map[string]string, err error) {
	given := cmd.Flags().Changed
	if given("as") {
		out.AS = &o.as
	}
	if given("ttl-security") {
		out.TTLSecurity = &o.ttlSecurity
	}
	if given("bfd") {
		out.BFD = &o.bfd
	}
	if given("force") {
		out.Force = &o.force
	}
	o.give(cmd, &out)
	out.Multihop, out.MaxPrefixes = command.Number(cmd, "multihop", &o.multihop), command.Number(cmd, "max-prefixes", &o.prefixes)
	for _, list := range []struct {
		flag string
		from []string
		to   **[]string
	}{{"accept", o.accept, &out.Accept}, {"announce", o.announce, &out.Announce}, {"community", o.communities, &out.Communities}} {
		if given(list.flag) {
			lines := slices.DeleteFunc(slices.Clone(list.from), func(s string) bool { return s == "" })
			*list.to = &lines
		}
	}
	if !given("password-file") {
		return out, nil, nil
	}
	id, secret, err := a.readPassword(o.passwordFile)
	if err != nil {
		return out, nil, err
	}
	out.Password = &id
	if id != "" {
		secrets = map[string]string{id: secret}
	}
	return out, secrets, nil
}

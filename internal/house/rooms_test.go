package house

// room is a package of ours: what it may import, and what it never does, which is
// the reason that an import not listed is refused with.
type room struct {
	ours   []string // packages of ours
	theirs []string // modules of others
	never  string
	banned []string // standard packages that would break never
}

// rooms is the import table. The lists are of direct imports, tests aside: those
// may see any room.
var rooms = map[string]room{
	"cmd/flock": {
		ours:  []string{"internal/agent", "internal/bgp", "internal/cli", "internal/command", "internal/hint", "internal/screen"},
		never: "main holds streams, signals and the exit status; what a test cannot call is not tested",
	},
	"cmd/flock/agent": {
		ours:  []string{"internal/agent"},
		never: "what starts on every server at every command holds what runs there and nothing else",
	},
	"cmd/flock/pages": {
		ours:   []string{"internal/cli", "internal/command", "internal/help", "internal/screen"},
		theirs: []string{cobra},
		never:  "it writes what packages carry besides the program, and knows no command",
	},
	"cmd/flock/agentbgp": {
		ours:  []string{"internal/agent", "internal/bgp"},
		never: "it is the agent, and the BGP daemon",
	},
	"internal/cli": {
		ours: []string{
			"internal/advice", "internal/bgpcmd", "internal/change", "internal/command", "internal/edit", "internal/explain", "internal/graph", "internal/ground", "internal/handover", "internal/help", "internal/hint",
			"internal/labcmd", "internal/lookcmd", "internal/network", "internal/option", "internal/plainfile", "internal/remote", "internal/screen", "internal/segment", "internal/spec", "internal/sshcmd", "internal/state", "internal/target", "internal/view",
		},
		theirs: []string{cobra, pflag, xSys},
		never:  "the command line parses and prints: no rules about networks, no kernel, no TOML",
	},
	"internal/lookcmd": {
		ours: []string{
			"internal/capture", "internal/change", "internal/command", "internal/contract", "internal/doctor", "internal/hint", "internal/plainfile", "internal/remote",
			"internal/screen", "internal/spec", "internal/state", "internal/view",
		},
		theirs: []string{cobra, pflag},
		never:  "it asks and prints: what an answer means is for the rooms that judge",
	},
	"internal/sshcmd": {
		ours: []string{
			"internal/change", "internal/command", "internal/hint", "internal/remote", "internal/screen", "internal/state", "internal/view",
		},
		theirs: []string{cobra},
		never:  "it logs in for people: no rules about networks, no SSH of its own",
	},
	"internal/bgpcmd": {
		ours: []string{
			"internal/change", "internal/command", "internal/edit", "internal/ground", "internal/hint", "internal/network", "internal/option",
			"internal/plainfile", "internal/screen", "internal/spec", "internal/state", "internal/view",
		},
		theirs: []string{cobra, pflag},
		never:  "the command line parses and prints: no rules about networks, no kernel, no TOML",
	},
	"internal/command": {
		ours: []string{
			"internal/capture", "internal/change", "internal/contract", "internal/edit", "internal/ground", "internal/hint", "internal/network", "internal/remote",
			"internal/screen", "internal/spec", "internal/state", "internal/view",
		},
		theirs: []string{cobra, pflag},
		never:  "what commands share knows none of them",
	},
	"internal/view": {
		ours: []string{
			"internal/change", "internal/contract", "internal/ground", "internal/hint", "internal/iptunnel", "internal/network", "internal/option", "internal/peering", "internal/screen",
			"internal/segment", "internal/spec", "internal/state", "internal/target", "internal/trace", "internal/underlay", "internal/verify",
		},
		never:  "a view shows the values that it is given: what a command asks, changes and exits with is the command line's",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/contract": {
		ours:   []string{"internal/change", "internal/hint", "internal/remote", "internal/state"},
		never:  "what all documents have in common is about no command: it finds errors out, and neither prints for people nor ends anything",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/help": {
		ours:   []string{"internal/contract", "internal/network", "internal/option", "internal/screen", "internal/state"},
		theirs: []string{cobra, pflag},
		never:  "help is made of the tree of commands and the tables: it runs no command, and knows no type of network",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/graph": {
		ours:   []string{"internal/network", "internal/option", "internal/screen", "internal/state", "internal/verify", "internal/view"},
		never:  "a picture is drawn of what it is given: the same cluster and verdicts give the same bytes",
		banned: impure,
	},
	"internal/labcmd": {
		ours:   []string{"internal/lab", "internal/screen", "internal/view"},
		theirs: []string{cobra},
		never:  "the lab's commands know no cluster: they boot machines to try one on",
	},
	"internal/advice": {
		ours:   []string{"internal/handover", "internal/state"},
		theirs: []string{cobra, pflag},
		never:  "advice is read, and never followed",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/handover": {
		ours:   []string{"internal/hint"},
		theirs: []string{cobra, pflag},
		never:  "whose call it is depends on its words alone: what ours do is for the command line",
		banned: []string{"net", "os/exec"},
	},
	"internal/screen": {
		ours:   []string{"internal/hint"},
		theirs: []string{tablewriter, xSys, xTerm},
		never:  "the screen shows what it is given: which commands there are, and what they print, is theirs to know",
		banned: []string{"net", "os/exec"},
	},
	"internal/change": {
		ours: []string{
			"internal/answer", "internal/capture", "internal/cloud", "internal/doctor", "internal/edit", "internal/ground", "internal/hint", "internal/network", "internal/option",
			"internal/passage", "internal/peering", "internal/remote", "internal/segment", "internal/spec", "internal/state", "internal/target", "internal/trace", "internal/underlay", "internal/verify",
		},
		theirs: []string{xSync},
		never:  "a change talks to agents by remote and spec alone, to clouds by cloud, and prints nothing",
	},
	"internal/cloud": {
		ours:   []string{"internal/ground", "internal/hint", "internal/prefix", "internal/spec", "internal/state"},
		theirs: []string{awsAuth},
		never:  "a cloud is told what its tables are to have: what networks mean is for the kinds, and servers are others' to log in to",
	},
	"internal/state": {
		ours:   []string{"internal/hint", "internal/plainfile", "internal/spec"},
		theirs: []string{toml, xMod, xSys},
		never:  "the cluster file means nothing to its keeper: it compiles, dials and prints nothing",
		banned: []string{"net", "os/exec"},
	},
	"internal/network": {
		ours: []string{
			"internal/ground", "internal/hint", "internal/iptunnel", "internal/mesh", "internal/option", "internal/peering", "internal/pool",
			"internal/prefix", "internal/segment", "internal/spec", "internal/state",
		},
		never:  "compiling is pure, the same cluster gives the same bytes: no file, clock, random source, kernel or server",
		banned: impure,
	},
	"internal/ground": {
		ours:   []string{"internal/hint", "internal/prefix", "internal/spec", "internal/state"},
		never:  "what all kinds stand on asks none of them",
		banned: impure,
	},
	"internal/option": {
		ours:   []string{"internal/ground", "internal/hint", "internal/spec", "internal/state", "internal/target"},
		never:  "a value is looked at by itself: what it means beside others is for the kind",
		banned: impure,
	},
	"internal/segment": {
		ours:   []string{"internal/ground", "internal/hint", "internal/option", "internal/prefix", "internal/spec", "internal/state"},
		never:  "a bridge is a bridge: how frames travel between servers is for the kind",
		banned: impure,
	},
	"internal/iptunnel": {
		ours:   []string{"internal/ground", "internal/hint", "internal/mesh", "internal/prefix", "internal/spec", "internal/state"},
		never:  "a tunnel is between its two ends: what other networks there are is for the kinds",
		banned: impure,
	},
	"internal/mesh": {
		ours:   []string{"internal/ground", "internal/option", "internal/spec", "internal/state"},
		never:  "a mesh is between those that it is told of: which networks have one is for the kinds",
		banned: impure,
	},
	"internal/answer": {
		ours:   []string{"internal/ground", "internal/hint", "internal/spec"},
		never:  "an answer is judged by itself and by what was asked: who asks, and what follows, is for change",
		banned: impure,
	},
	"internal/passage": {
		ours:   []string{"internal/spec"},
		never:  "what is between two specs follows from the two: when each is applied is for change",
		banned: impure,
	},
	"internal/underlay": {
		ours:  []string{"internal/spec"},
		never: "what is tried and recommended is decided by values alone: whoever sends is elsewhere",
	},
	"internal/doctor": {
		ours:   []string{"internal/ground", "internal/hint", "internal/screen", "internal/spec", "internal/state", "internal/trace/kernel"},
		never:  "what is found follows from facts: who gathers them, and who mends, is elsewhere",
		banned: []string{"crypto/rand", "math/rand", "math/rand/v2", "net", "os", "os/exec"},
	},
	"internal/explain": {
		ours:   []string{"internal/agent/written", "internal/prefix", "internal/spec", "internal/wire", "templates"},
		never:  "a spec is written down as commands: which kind of network it is, and what a server has, is not asked",
		banned: impure,
	},
	"internal/capture": {
		ours:   []string{"internal/ground", "internal/hint", "internal/spec", "internal/state"},
		never:  "packets are read, ordered and written down as they were handed over: who takes them is elsewhere",
		banned: []string{"crypto/rand", "math/rand", "math/rand/v2", "os", "os/exec"},
	},
	"internal/verify": {
		ours:   []string{"internal/capture", "internal/ground", "internal/spec", "internal/state"},
		theirs: []string{xNet},
		never:  "what is tried follows from specs, whatever kind of network they come from",
		banned: impure,
	},
	"internal/trace/kernel": {
		never:  "it says what another machine's kernel told: it asks none",
		banned: impure,
	},
	"internal/trace": {
		ours:   []string{"internal/ground", "internal/hint", "internal/spec", "internal/state", "internal/trace/kernel", "internal/verify"},
		never:  "a way follows from what kernels say: asking them, and sending packets, is for others",
		banned: impure,
	},
	"internal/pool": {
		ours:   []string{"internal/ground", "internal/hint", "internal/prefix", "internal/segment", "internal/spec", "internal/state"},
		never:  "what backends have in common knows none of them",
		banned: impure,
	},
	"internal/peering": {
		ours:   []string{"internal/ground", "internal/hint", "internal/option", "internal/spec", "internal/state"},
		never:  "sessions follow from who is a member: what a network means, and the daemon, are elsewhere",
		banned: impure,
	},
	"internal/edit": {
		ours: []string{
			"internal/ground", "internal/hint", "internal/network", "internal/option", "internal/peering", "internal/prefix",
			"internal/segment", "internal/spec", "internal/state",
		},
		never:  "an edit changes a cluster in memory: when it is made, and what servers say to it, is for change",
		banned: impure,
	},
	"internal/spec": {
		ours:   []string{"internal/hint", "internal/wire"},
		never:  "the waist is plain data: with kinds, TOML or netlink in it both sides would see through it",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/wire": {
		never:  "framing knows neither messages nor connections: it is tried with a pipe",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/remote": {
		ours:   []string{"internal/hint", "internal/remote/dial", "internal/remote/hostkeys", "internal/remote/keys", "internal/spec", "internal/sshconfig", "internal/target", "internal/wire"},
		theirs: []string{compress, xCrypto, xSync, xSys, xTerm},
		never:  "SSH carries what it is given: it knows no networks and no cluster file",
	},
	"internal/remote/dial": {
		theirs: []string{xSys},
		never:  "it opens ways to ports: no SSH, and no choice among ways",
	},
	"internal/remote/hostkeys": {
		ours:   []string{"internal/plainfile", "internal/sshconfig"},
		theirs: []string{xCrypto},
		never:  "files say which keys are known: whom to ask about others, remote decides",
	},
	"internal/remote/keys": {
		ours:   []string{"internal/plainfile"},
		theirs: []string{xCrypto},
		never:  "keys sign when they are told to: to whom they are offered, remote decides",
	},
	"internal/sshconfig": {
		ours:  []string{"internal/hint", "internal/plainfile", "internal/target"},
		never: "a config says where a name leads: going there, and the keys for it, belong to remote",
	},
	"internal/agent": {
		ours: []string{
			"internal/agent/adopt", "internal/agent/attach", "internal/agent/bgpctl", "internal/agent/claim", "internal/agent/dockernet", "internal/agent/dropin", "internal/agent/family", "internal/agent/filter", "internal/agent/host",
			"internal/agent/link", "internal/agent/metadata", "internal/agent/probe", "internal/agent/settings", "internal/agent/startup", "internal/agent/sysfile",
			"internal/agent/unit", "internal/agent/wg", "internal/hint", "internal/rtnl", "internal/spec", "internal/wire",
		},
		theirs: []string{xSys},
		never:  "the agent sees one server's spec: with the cluster or its kinds in it, a new kind would need a new agent",
	},
	"internal/agent/attach": {
		ours: []string{
			"internal/agent/family", "internal/agent/guest", "internal/agent/host", "internal/agent/sysfile", "internal/agent/unit",
			"internal/rtnl", "internal/spec", "internal/wire",
		},
		theirs: []string{netlink, xSys},
		never:  "a container is found and set up by its kind and name: what its interfaces are for, and when it starts, others know",
		banned: []string{"net/http", "os/exec"},
	},
	"internal/agent/guest": {
		ours:   []string{"internal/agent/sysfile"},
		never:  "what libvirt wrote down is read and written as text: it is told and asked by others",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/dockernet": {
		ours:   []string{"internal/agent/family", "internal/agent/host", "internal/spec"},
		never:  "Docker and Podman are told and asked by their own programs: bridges, addresses and names of ours are there or are not",
		banned: []string{"net", "net/http"},
	},
	"internal/agent/adopt": {
		ours:   []string{"internal/agent/family", "internal/agent/host", "internal/agent/sysfile", "internal/agent/unit", "internal/spec", "internal/wire"},
		theirs: []string{"github.com/vishvananda/netlink"},
		never:  "LXC, Docker and libvirt are told by their own files and asked by their own programs: what subnet a server has is the spec's to say",
		banned: []string{"net/http"},
	},
	"internal/agent/arp": {
		ours:   []string{"internal/spec"},
		theirs: []string{xSys},
		never:  "a segment is asked and told: what the addresses are for is the caller's to know",
	},
	"internal/agent/dhcp": {
		ours: []string{
			"internal/agent/arp", "internal/agent/names", "internal/agent/socket", "internal/agent/sysfile", "internal/agent/unit",
			"internal/agent/written", "internal/hint", "internal/spec", "internal/wire",
		},
		theirs: []string{xSys},
		never:  "a network's containers are served as a spec says: devices, addresses and filters are there or are not",
	},
	"internal/agent/metadata": {
		ours:   []string{"internal/spec"},
		never:  "a cloud's service is asked what the server is: what that is good for is not known here",
		banned: []string{"net/http", "os", "os/exec"},
	},
	"internal/agent/names": {
		ours:   []string{"internal/spec"},
		never:  "whose a name is follows from leases and messages: who reads and sends them is the daemon's to know",
		banned: []string{"crypto/rand", "math/rand", "math/rand/v2", "os", "os/exec", "time"},
	},
	"internal/agent/bgpctl": {
		ours: []string{
			"internal/agent/family", "internal/agent/host", "internal/agent/sysfile", "internal/agent/unit", "internal/control",
			"internal/hint", "internal/rtnl", "internal/spec", "internal/wire",
		},
		theirs: []string{netlink, xSys},
		never:  "the daemon is told what to do, and asked: BGP is spoken in its own process",
	},
	"internal/agent/claim": {
		ours: []string{
			"internal/agent/adopt", "internal/agent/bgpctl", "internal/agent/family", "internal/agent/host", "internal/agent/link", "internal/agent/socket",
			"internal/agent/sysfile", "internal/agent/unit", "internal/agent/wg", "internal/spec", "internal/wire",
		},
		theirs: []string{netlink, xSys},
		never:  "what is in the way is named before anything is changed: nothing is changed here",
	},
	"internal/agent/dropin": {
		ours: []string{
			"internal/agent/family", "internal/agent/host", "internal/agent/sysfile", "internal/agent/unit", "internal/agent/written",
			"internal/spec", "internal/wire", "templates",
		},
		never:  "files for other programs are text: the kernel is not asked, and those programs are not ours",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/family": {
		ours:   []string{"internal/agent/host", "internal/agent/unit", "internal/hint", "internal/rtnl", "internal/spec"},
		theirs: []string{netlink, xSys},
		never:  "what all sorts of objects have in common knows none of them: a sort is a line of the table",
		banned: []string{"os", "os/exec", "time"},
	},
	"internal/agent/filter": {
		ours:   []string{"internal/agent/family", "internal/agent/host", "internal/spec"},
		never:  "a line of the table compares and calls: what a rule is made of is agent/nft's",
		banned: []string{"os", "os/exec"},
	},
	"internal/agent/host": {
		ours: []string{
			"internal/agent/dhcp", "internal/agent/nft", "internal/agent/socket", "internal/agent/sysctl", "internal/agent/sysfile",
			"internal/agent/unit", "internal/agent/wg",
			"internal/hint", "internal/rtnl", "internal/spec", "internal/wire",
		},
		theirs: []string{netlink, xSys},
		never:  "a server is seen and remembered: what should be there, and what differs, is for families",
	},
	"internal/agent/link": {
		ours: []string{
			"internal/agent/arp", "internal/agent/family", "internal/agent/host", "internal/agent/sysfile", "internal/agent/unit", "internal/agent/wg",
			"internal/control", "internal/hint", "internal/rtnl", "internal/spec", "internal/udptun",
		},
		theirs: []string{netlink, wireguard, xSys},
		never:  "links and what stands on them are the kernel's: rules, settings and files are for their own families",
		banned: []string{"os/exec"},
	},
	"internal/agent/nft": {
		ours:   []string{"internal/agent/sysfile", "internal/agent/unit", "internal/hint", "internal/spec", "internal/wire"},
		theirs: []string{netlinkLow, nftables, xSys},
		never:  "packet filters are what a spec says: what a server should have is decided elsewhere",
	},
	"internal/agent/probe": {
		ours: []string{
			"internal/agent/arp", "internal/agent/host", "internal/agent/socket", "internal/agent/wg", "internal/hint", "internal/spec",
		},
		theirs: []string{netlink, xSys},
		never:  "who answers is told, and nothing is concluded from it or changed by it",
		banned: []string{"os/exec"},
	},
	"internal/agent/settings": {
		ours:   []string{"internal/agent/family", "internal/agent/host", "internal/agent/sysctl", "internal/agent/sysfile", "internal/spec", "internal/wire"},
		theirs: []string{netlink, xSys},
		never:  "what goes back is decided by what was found: how a setting is read is the room's of sysctl",
		banned: []string{"os/exec"},
	},
	"internal/agent/socket": {
		ours:   []string{"internal/agent/sysfile"},
		theirs: []string{xSys},
		never:  "a port is free or somebody's: who needs it, and what to do then, is for the claim",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/sysctl": {
		ours:   []string{"internal/agent/nft", "internal/agent/sysfile", "internal/agent/unit"},
		never:  "settings are read and written: which a server should have, and what comes back, is decided elsewhere",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/startup": {
		ours:   []string{"internal/agent/host", "internal/agent/sysfile", "internal/agent/unit", "internal/spec", "templates"},
		never:  "a unit starts the agent at its time: what that does then is the agent's",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/written": {
		ours:   []string{"internal/agent/names", "internal/spec", "internal/wire", "templates"},
		never:  "the same spec gives the same text: writing it, and the programs that read it, are for others",
		banned: impure,
	},
	"internal/agent/sysfile": {
		theirs: []string{xSys},
		never:  "files are written and read whole: which there are, and what is in them, is for their owners",
		banned: []string{"net", "os/exec"},
	},
	"internal/agent/unit": {
		ours:   []string{"internal/agent/sysfile", "internal/hint", "templates"},
		theirs: []string{xSys},
		never:  "daemons are started and ended: which there are, and what for, is for whoever has them",
	},
	"internal/agent/wg": {
		ours:   []string{"internal/agent/sysfile", "internal/hint", "internal/spec"},
		theirs: []string{wgctrl, wireguard, xSys},
		never:  "WireGuard devices are read and set: which a server has, and what else it has, is for the agent",
	},
	"internal/bgp": {
		ours:   []string{"internal/bgp/bfd", "internal/bgp/journal", "internal/control", "internal/rtnl", "internal/spec"},
		theirs: []string{gobgp, netlink, xSys},
		never:  "the daemon speaks BGP and keeps its routes: it knows neither the agent nor the cluster",
	},
	"internal/bgp/bfd": {
		ours:   []string{"internal/spec"},
		theirs: []string{xSys},
		never:  "BFD tells that a neighbour is silent: what follows from that is BGP's",
	},
	"internal/bgp/journal": {
		theirs: []string{gobgp},
		never:  "why a session is down is read from what GoBGP says: what is done about it is the daemon's",
		banned: []string{"os/exec"},
	},
	"internal/rtnl": {
		theirs: []string{netlink, xSys},
		never:  "a socket carries what it is given: what is written belongs to its callers",
	},
	"internal/control": {
		ours:   []string{"internal/wire"},
		never:  "an exchange carries what it is given: what is asked and answered belongs to its callers",
		banned: []string{"os/exec"},
	},
	"internal/udptun": {
		ours:   []string{"internal/control"},
		theirs: []string{wireguard, xNet, xSys},
		never:  "packets and who may send them: it is tried without root, specs or an agent",
	},
	"internal/lab": {
		ours:   []string{"internal/hint"},
		theirs: []string{netlink, netns, xCrypto, xSys},
		never:  "the lab is hardware: it must not need what is tried on it",
	},
	"internal/netspace": {
		ours:   []string{"internal/lab"},
		theirs: []string{xSys},
		never:  "a network namespace is where a test of the kernel runs: what is tried there is the test's",
	},
	"internal/browser": {
		ours:   []string{"internal/lab"},
		theirs: []string{"github.com/chromedp/chromedp", "github.com/chromedp/cdproto"},
		never:  "a browser shows what it is given: what a page must show is the test's",
	},
	"internal/vm": {
		ours:  []string{"internal/hint"},
		never: "a virtual machine runs what it is given: it knows neither labs nor tests",
	},
	"internal/target": {
		ours:   []string{"internal/hint"},
		never:  "a way is checked as it is written: whether it leads anywhere is for whoever goes there",
		banned: []string{"os", "os/exec"},
	},
	"internal/plainfile": {
		never:  "what is in a file is for whoever wants it",
		banned: []string{"net", "os/exec"},
	},
	"internal/prefix": {
		never:  "arithmetic needs addresses alone: what a prefix may be used for is the network's to know",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/hint": {
		never:  "advice is attached everywhere, so it depends on nothing",
		banned: []string{"os"},
	},
	"internal/cloudfake": {
		never: "a fake is written from the reference alone: with ours in it both would be wrong alike",
	},
	"internal/fill": {
		never:  "it fills what it is given: which types have hidden fields is the test's to know",
		banned: []string{"net", "os", "os/exec"},
	},
	"internal/seed": {
		never:  "the numbers of a run are the test's: what they are used for belongs there",
		banned: []string{"net", "os/exec"},
	},
	"internal/schema": {
		theirs: []string{cobra, jsonschema},
		never:  "a schema is made of any type: which a command prints is the command line's to know; and no program has it",
		banned: []string{"net", "os/exec"},
	},
	"internal/house": {never: "rules have no code"},
	"templates":      {never: "text for other programs' files is filled in without knowing where it goes", banned: []string{"os", "os/exec"}},
}

// impure are the packages that would make a file's specs depend on something else.
var impure = []string{"crypto/rand", "math/rand", "math/rand/v2", "net", "os", "os/exec", "time"}

// Modules of others. docs/dependencies.md says what each is for.
const (
	awsAuth     = "github.com/aws/smithy-go/aws-http-auth"
	cobra       = "github.com/spf13/cobra"
	jsonschema  = "github.com/santhosh-tekuri/jsonschema/v6"
	compress    = "github.com/klauspost/compress"
	gobgp       = "github.com/osrg/gobgp/v4"
	netlink     = "github.com/vishvananda/netlink"
	netlinkLow  = "github.com/mdlayher/netlink"
	netns       = "github.com/vishvananda/netns"
	nftables    = "github.com/google/nftables"
	pflag       = "github.com/spf13/pflag"
	tablewriter = "github.com/olekukonko/tablewriter"
	toml        = "github.com/pelletier/go-toml/v2"
	wgctrl      = "golang.zx2c4.com/wireguard/wgctrl"
	wireguard   = "golang.zx2c4.com/wireguard"
	xCrypto     = "golang.org/x/crypto"
	xNet        = "golang.org/x/net"
	xSync       = "golang.org/x/sync"
	xSys        = "golang.org/x/sys"
	xTerm       = "golang.org/x/term"
	xMod        = "golang.org/x/mod"
)

// onlyIn are files that alone may import a package of others, by its path: its
// interface changes between versions, or is ours to replace.
var onlyIn = map[string][]string{
	tablewriter:        {"internal/screen/table.go"},
	toml + "/unstable": {"internal/state/decode.go", "internal/state/position.go", "internal/state/scalar.go"},
	"log":              nil,
	"unsafe":           nil,
}

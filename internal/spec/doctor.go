package spec

import "time"

// DoctorRequest asks for what is on a server beside flock. Of what it names only Run can change
// something.
type DoctorRequest struct {
	Kinds  []string `json:",omitempty"` // of devices, to be tried
	Chains bool     `json:",omitempty"` // packet filters
	Run    []string `json:",omitempty"` // scripts for sh, one after the other; all are run
	Boot   []string `json:",omitempty"` // settings, as paths below /proc/sys: what files set them to
}

// What a script may take.
const (
	DoctorBytes  = 1 << 20 // of what it prints
	DoctorWithin = 20 * time.Second
)

// DoctorReply answers a DoctorRequest.
type DoctorReply struct {
	Clock   int64    // this server's, in nanoseconds since 1970
	Lacks   []string `json:",omitempty"` // those of Kinds that the kernel does not make
	Untried string   `json:",omitempty"` // why they could not be tried
	Chains  []Chain  `json:",omitempty"` // of nftables, all
	DNS     string   `json:",omitempty"` // program that has port 53 of every address
	Ran     []Ran    `json:",omitempty"` // what each script did
	Boot    []AtBoot `json:",omitempty"` // what files of sysctl.d(5) set of the request's Boot
}

// Ran is what a script did.
type Ran struct {
	Text   string `json:",omitempty"` // what it printed, errors included
	Status int    `json:",omitempty"` // its exit status; -1: it was killed, or did not start
	Why    string `json:",omitempty"` // why Text is not all of it: too long, too late; "": it is
}

// AtBoot is a setting as the next boot makes it.
type AtBoot struct{ Key, Value, Path string }

// Chain is one of nftables.
type Chain struct {
	Family  int // linux nfproto: 1 inet, 2 ip, 10 ip6, 7 bridge
	Table   string
	Name    string
	Forward bool     `json:",omitempty"` // it sees every forwarded packet, and ends with its policy (nft(8))
	Drops   bool     `json:",omitempty"` // the policy drops
	Refuses bool     `json:",omitempty"` // its last rule drops or rejects all that comes to it
	Lets    []string `json:",omitempty"` // devices, and prefixes, that rules in it accept packets of
	Accepts []string `json:",omitempty"` // marks of ours at rules in it: flock:CLUSTER/NETWORK, each once
}

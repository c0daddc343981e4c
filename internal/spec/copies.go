package spec

import "strings"

// CopyFile is the copy of the cluster file in a cluster's directory on a server: TOML,
// compressed by gzip, of the generation that was confirmed last there.
const CopyFile = "cluster.toml.gz"

// MostGeneration is the newest generation that is believed of a server: a file that continues
// after it must have room for as many changes again.
const MostGeneration = 1 << 48

// Copied is what a server has of one cluster: what it confirmed last, and its copy of the
// cluster file.
type Copied struct {
	Cluster    string
	Store      string `json:",omitempty"` // id of the cluster file
	Server     string `json:",omitempty"` // its name there
	Generation uint64 `json:",omitempty"` // that it confirmed last
	Made       string `json:",omitempty"` // when and by what that generation was made, see Host.Made
	Sum        string `json:",omitempty"` // of the spec that it confirmed last
	File       string `json:",omitempty"` // the copy in base64; "": it has none, or the request is about another cluster
}

// MadeBy is a generation's Made as the end of a sentence, "" if it is not known.
func MadeBy(made string) string {
	when, command, found := strings.Cut(made, " ")
	if !found {
		return ""
	}
	return ": made " + when + " by " + command
}

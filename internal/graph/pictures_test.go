package graph

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/state"
)

// TestPicturesOfExamples: the pictures of the documentation are what is drawn of the cluster
// files in examples, and of the first network, once their servers confirmed them and traffic was tried.
func TestPicturesOfExamples(t *testing.T) {
	for name, verdicts := range map[string]map[string]string{
		"cluster-file": {"apps": "passes", "storage": "passes"},
		"pool":         {"apps": "lost"},
		"bgp":          {"bnet": "passes"},
		"tunnels":      {"branch-a": "passes", "branch-b": "lossy"},
		"first":        {"vx1": "passes"},
	} {
		data := []byte(firstNetwork)
		if name != "first" {
			var err error
			if data, err = os.ReadFile(filepath.Join("..", "..", "examples", name, "cluster.toml")); err != nil {
				t.Fatal(err)
			}
		}
		c, err := state.Parse(data, "default")
		if err != nil {
			t.Fatal(err)
		}
		c.ID, c.Generation = "0123456789abcdef", 1
		s := &sample{c: c, verdicts: map[string]state.Verdict{}}
		for network, verdict := range verdicts {
			s.verdicts[network] = state.Verdict{State: verdict, Says: verdict, Time: time.Date(2026, 11, 29, 9, 30, 0, 0, time.UTC)}
		}
		var pending []string
		if name == "tunnels" {
			pending = []string{"s3"}
		}
		compare(t, filepath.Join("..", "..", "docs", "pictures", name+".svg"), s.model(t, pending...).SVG())
	}
}

// firstNetwork is what the first commands of the README write, of three servers.
const firstNetwork = `
schema = 1
cluster = "default"
[server.s1]
address = "10.99.0.1"
user = "root"
[server.s2]
address = "10.99.0.2"
user = "root"
[server.s3]
address = "10.99.0.3"
user = "root"
[network.vx1]
type = "vxlan"
members = ["s1", "s2", "s3"]
`

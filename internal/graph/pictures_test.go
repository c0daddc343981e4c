package graph

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/state"
)

// TestPicturesOfExamples: the pictures of the documentation are what is drawn of the cluster
// files in examples, once their servers confirmed them and traffic was tried.
func TestPicturesOfExamples(t *testing.T) {
	for name, verdicts := range map[string]map[string]string{
		"cluster-file": {"apps": "passes", "storage": "passes"},
		"pool":         {"apps": "lost"},
		"bgp":          {"bnet": "passes"},
		"tunnels":      {"branch-a": "passes", "branch-b": "lossy"},
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", name, "cluster.toml"))
		if err != nil {
			t.Fatal(err)
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

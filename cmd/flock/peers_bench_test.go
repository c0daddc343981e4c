//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
)

// peersEnv is the directory of what `make peers` installed: a layer of a root, of which only
// Python's programs and modules are used.
const peersEnv = "FLOCK_PEERS"

// peerRounds is how often they and flock run, by turns.
const peerRounds = 5

// peerWithin is how long a peer may take, in seconds: mitogen 0.3.3 does not end at times.
const peerWithin = "240"

// peer is what admins run commands on many servers with.
type peer struct {
	name   string
	rounds int // fewer for those that take many seconds, or minutes
	argv   []string
}

// peers are those that run `true` on all servers by way of ssh and its configuration, all
// at once.
func (w *bench) peers(root string) []peer {
	w.b.Helper()
	dir := filepath.Dir(w.state)
	var hosts, inventory strings.Builder
	for i := range w.n {
		fmt.Fprintf(&hosts, "root@10.99.0.%d\n", i+1)
		fmt.Fprintf(&inventory, "10.99.0.%d ansible_user=root\n", i+1)
	}
	for name, text := range map[string]string{"hosts": hosts.String(), "inventory": inventory.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.b.Fatal(err)
		}
	}
	modules, atOnce, config := filepath.Join(root, "usr/lib/python3/dist-packages"), fmt.Sprint(w.n), "-F "+w.ssh
	program := func(name string, env ...string) []string {
		return append(append([]string{"env", "HOME=" + dir, "PYTHONPATH=" + modules}, env...), filepath.Join(root, "usr/bin", name))
	}
	ansible := func(strategy string) []string {
		return append(program("ansible", "ANSIBLE_HOME="+filepath.Join(dir, "ansible"), "ANSIBLE_SSH_ARGS="+config,
			"ANSIBLE_STRATEGY_PLUGINS="+filepath.Join(modules, "ansible_mitogen/plugins/strategy"), "ANSIBLE_STRATEGY="+strategy),
			"all", "-i", filepath.Join(dir, "inventory"), "-f", atOnce, "-m", "command", "-a", "true")
	}
	return []peer{
		{"pssh", peerRounds, append(program("parallel-ssh"), "-h", filepath.Join(dir, "hosts"), "-p", atOnce, "-x", config, "true")},
		{"clush", peerRounds, append(program("clush"), "-S", "-f", atOnce, "-o", config, "-l", "root", "-w", fmt.Sprintf("10.99.0.[1-%d]", w.n), "true")},
		{"ansible", max(1, 30/w.n), ansible("linear")},
		{"mitogen", max(1, 30/w.n), ansible("mitogen_linear")},
	}
}

// BenchmarkNoopControlBesidePeers is an apply that changes nothing beside what others take to run `true`
// on the same servers, all through the connections that ssh has already.
func BenchmarkNoopControlBesidePeers(b *testing.B) {
	root := filepath.Join(os.Getenv(peersEnv), "upper")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/clush")); err != nil {
		b.Fatalf("what flock is compared with is missing: %v\nnext: make peers; export %s=~/.cache/flock-peers", err, peersEnv)
	}
	for _, n := range benchSizes[1:] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n, root)
			w.addServers()
			w.network(n)
			w.masters()
			peers := w.peers(root)
			var ours []time.Duration
			theirs := make([][]time.Duration, len(peers))
			for round := range peerRounds {
				ours = append(ours, w.run("apply"))
				for i, p := range peers {
					if round >= p.rounds {
						continue
					}
					began := time.Now()
					text, err := w.l.Command(b.Context(), lab.Laptop, append([]string{"timeout", "-s", "KILL", peerWithin}, p.argv...)...).CombinedOutput()
					if err != nil {
						b.Logf("%s with %d servers: %v\n%s", p.name, n, err, text)
						continue // that is its result
					}
					theirs[i] = append(theirs[i], time.Since(began))
				}
			}
			us := median(ours)
			for i, p := range peers {
				if len(theirs[i]) < p.rounds {
					b.ReportMetric(float64(p.rounds-len(theirs[i])), p.name+"-failed")
				}
				if len(theirs[i]) == 0 {
					continue
				}
				them := median(theirs[i])
				b.ReportMetric(float64(us)/float64(them), "x-"+p.name)
				b.ReportMetric(float64(them.Microseconds())/1000, p.name+"-ms")
			}
			b.ReportMetric(float64(us.Microseconds())/1000, "flock-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

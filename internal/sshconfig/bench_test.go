package sshconfig

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// BenchmarkConfig10 finds out where ten servers lead, by configs of several kinds, beside
// the start of one program (ssh -G, the floor of this run). What flock evaluates by
// itself may cost a command no more than that; a Match exec with a command for each, what
// ten shells cost.
func BenchmarkConfig10(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config")
	writeText(b, path, "Host *\n User root\n")
	floor := time.Duration(1<<63 - 1)
	for range 20 {
		start := time.Now()
		if err := exec.CommandContext(b.Context(), "ssh", "-G", "-F", path, "a").Run(); err != nil {
			b.Fatal(err)
		}
		floor = min(floor, time.Since(start))
	}
	for _, c := range []struct {
		name, text string
		most       float64 // of floors
	}{
		{"plain", "", 1},
		{"match", "Match host s1,s3 user root\n Port 1\nMatch originalhost s2\n User u\n", 1},
		{"final", "Match final all\n GSSAPIAuthentication yes\n ForwardX11Trusted yes\n", 1},
		{"exec-of-one", "Match host s1 exec \"true\"\n Port 1\n", 1},
		{"exec", "Match exec true\n Port 1\n", 1},
		{"exec-of-each", "Match exec \"test %n = s1\"\n Port 1\n", 4},
		{"exec-by-ssh", "Match exec \"test %l\"\n Port 1\n", 60},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "config")
			writeText(b, path, c.text+"Host *\n User root\n")
			for b.Loop() {
				c := must(Read(path))
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						if _, err := c.Route(b.Context(), Destination{Alias: fmt.Sprintf("s%d", i)}); err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
			}
			ratio := b.Elapsed().Seconds() / float64(b.N) / floor.Seconds()
			b.ReportMetric(ratio, "floors")
			if ratio > c.most {
				b.Errorf("took %.1f times the start of a program, want at most %g", ratio, c.most)
			}
		})
	}
}

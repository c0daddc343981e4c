package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
)

// big is a cluster file of n servers that are all in one network.
func big(n int) string {
	var b, members strings.Builder
	b.WriteString("schema = 1\n")
	for i := range n {
		where := fmt.Sprintf("10.%d.%d.%d", 100+i/62500, i/250%250, i%250+1)
		fmt.Fprintf(&b, "[server.s%d]\naddress = %q\n[server.s%d.facts]\ndefault4 = \"eth0\"\n", i, where, i)
		fmt.Fprintf(&b, "interface = [{name = \"eth0\", mtu = 1500, addresses = [\"%s/8\"]}]\n", where)
		fmt.Fprintf(&members, "\"s%d\",", i)
	}
	fmt.Fprintf(&b, "[network.vx1]\ntype = \"vxlan\"\nsubnet = [\"172.16.0.0/16\"]\nmembers = [%s]\n", members.String())
	return b.String()
}

// BenchmarkListNetworks is linear, and below a second at 10,000 servers: from the
// file on the disk to the last line on the screen.
func BenchmarkListNetworks(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		for _, form := range []string{view.FormTable, view.FormJSON} {
			b.Run(fmt.Sprintf("%d/%s", n, form), func(b *testing.B) {
				w := newBench(b, big(n))
				for b.Loop() {
					if code := w.run("listnetworks", "-o", form); code != command.ExitDone {
						b.Fatalf("exit status %d: %s", code, w.err.String())
					}
				}
			})
		}
	}
}

// BenchmarkLiveProgress is what 1,000 servers' events cost on a terminal.
func BenchmarkLiveProgress(b *testing.B) {
	w := newBench(b, "")
	a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Err: &w.err, ErrTTY: true}, Getenv: func(string) string { return "" }}}}
	for b.Loop() {
		w.err.Reset()
		p := command.NewProgress(a.App)
		for i := range 1000 {
			p.Show(change.Event{Server: fmt.Sprintf("s%d", i), Line: "connecting"})
		}
		for i := range 1000 {
			p.Show(change.Event{Server: fmt.Sprintf("s%d", i), Done: true})
		}
	}
}

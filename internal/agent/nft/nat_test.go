//go:build linux

package nft

import (
	"strings"
	"testing"
)

// Former versions made a guard before a network's DNS, which dnsmasq does without:
// it is seen as too much, and goes.
func TestFormerGuardBeforeDNSGoes(t *testing.T) {
	h, want := newBed(t)
	clean := sortedLines(h.Ruleset())
	h.Sh(`nft 'add rule inet flock-c1 input iifname != "vxl0" udp dport 53 drop comment "dns vx1 vxl0"'`)
	if have := differs(h, want); !strings.HasPrefix(have, "- guard vx1") {
		t.Errorf("seen as %q", have)
	}
	put(h, want)
	if have := sortedLines(h.Ruleset()); have != clean {
		t.Errorf("healed to\n%s\nwant\n%s", have, clean)
	}
}

func TestReplacingLosesNoPacket(t *testing.T) {
	o := writtenOverlay(t, nil)
	s, c, want := o.servers[0], o.containers[0], overlayHost(0)
	for _, target := range []string{"10.99.0.254", "10.0.4.3", "10.0.4.1", "fd99::254"} {
		c.Reaches(target)
		done := make(chan string)
		go func() {
			out, err := c.Try("ping -n -q -c100 -i0.01 -W1 " + target)
			if err == nil && strings.Contains(out, " 0% packet loss") {
				out = ""
			}
			done <- out
		}()
		replaced := 0
		for running := true; running; {
			select {
			case out := <-done:
				if running = false; out != "" {
					t.Errorf("%s: %s", target, out)
				}
			default:
				s.Sh("nft add chain bridge flock-c1 x; nft add chain inet flock-c1 x") // both tables are made anew
				put(s, want)
				replaced++
			}
		}
		if replaced < 5 {
			t.Errorf("%s: replaced %d times during the ping", target, replaced)
		}
	}
}

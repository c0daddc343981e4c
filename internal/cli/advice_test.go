package cli

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/state"
)

func TestAdviceIsHeldAgainstTheCommands(t *testing.T) {
	c, err := state.Parse([]byte(bgpThree), "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	for text, wrong := range map[string]string{
		"flock apply": "",
		"flock addnetwork vx1 s3, or flock delnetwork vx1 s1":      "",
		"flock addbgp bnet external s1 10.99.0.254 --as ASN":       "",
		"flock addserver NAME [USER@]ADDRESS":                      "",
		"flock addserver s9 root@10.0.0.9 --accept-new":            "",
		"flock createnetwork NAME vxlan -s 10.9.0.0/24":            "",
		"flock addbgp bnet network SERVER:CIDR…":                   "",
		"if it is gone for good: flock delserver s3 --force":       "",
		"did you mean: flock status or flock apply":                "",
		"lock it by /usr/bin/flock x":                              "",
		"flock delserver s1 --force --yes; then flock listservers": "",
		"flock apply -f 'a file.toml' --yes":                       "",
		"flock apply -f 'a file.toml --yes":                        "not closed",
		"flock addnetworks vx1":                                    "unknown command",
		"flock addnetwork vx1":                                     "too few words",
		"flock listnetworks vx7":                                   "no server and no network vx7",
		"flock addnetwork vx1 s9":                                  "no server and no network s9",
		"flock addbgp none peer s1:eth0":                           "no network none",
		"flock apply now":                                          "no server and no network now",
		"flock status --frobnicate":                                "unknown flag",
		"flock createnetwork NAME vxlan -v many":                   "invalid argument",
		"flock rollback to a generation of flock history":          "one word too many",
	} {
		err := Advice(text, c)
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: want %q, have %v", text, wrong, err)
		}
	}
	for text, args := range map[string]string{
		"choose another bridge (-b)":                   "addnetwork vx1 s3",
		"make it anew with --mtu 1400":                 "addnetwork vx1 s3",
		"leave -n away, or use --dhcp single":          "apply -f c.toml",
		"flock setnetwork vx1 -b x, or --name another": "status",
		"on s1: docker inspect -n web":                 "trace s1 s2",
	} {
		if err := Advised(text, strings.Fields(args), c); err == nil || !strings.Contains(err.Error(), "no such option") {
			t.Errorf("%s after %s: %v", text, args, err)
		}
	}
	for text, args := range map[string]string{
		"leave -n away, or use --dhcp single":                                                           "createnetwork vx2 vxlan",
		"on s1: journalctl -u x; and ip -d link":                                                        "status",
		"on s1: nsenter -n -t $(docker inspect -f '{{.State.Pid}}' web) ip neigh del 10.0.4.7 dev eth1": "trace s1 s2",
		"on s1: tc -s qdisc show dev eth0":                                                              "trace s1 s2",
		"ssh-copy-id -i id.pub root@10.99.0.1":                                                          "status",
		"flock setnetwork vx1 -b BRIDGE, or --yes":                                                      "delserver s1",
	} {
		if err := Advised(text, strings.Fields(args), c); err != nil {
			t.Errorf("%s after %s: %v", text, args, err)
		}
	}
	for _, text := range []string{"flock setnetwork vx7 -p PORT", "flock setserver s9 10.0.0.9", "flock verify vx7", "flock listnet s9", "flock addnet s9:c1 eth1:vxl0"} {
		if err := Advice(text, c); err == nil || !strings.Contains(err.Error(), "no server and no network") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := Advice("flock listnetworks vx7", nil); err != nil {
		t.Errorf("no cluster, no names to look at: %v", err)
	}
}

package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// TB is the part of testing.TB that Need uses, so that the program does not link
// the testing package.
type TB interface {
	Helper()
	Name() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need lets a test say that it cannot run here: not as root, without the named programs,
// or not in the lane of `make unit`. It skips the test with a line on stderr that can be
// counted; if FLOCK_MUST is set, as in CI, it fails it instead.
func Need(t TB, programs ...string) {
	t.Helper()
	lacks := ""
	if os.Getenv("FLOCK_LANE") == "unit" {
		lacks = "what make unit leaves to make test"
	} else if runtime.GOOS != "linux" {
		lacks = "Linux"
	} else if os.Geteuid() != 0 {
		lacks = "root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil && lacks == "" {
			lacks = p
		}
	}
	if lacks != "" {
		Lack(t, lacks)
	}
}

// InVM are the tests that also run under Debian's kernel, as packages and patterns for
// `go test -run`. A test of a kind of link that this kernel lacks must be listed here.
var InVM = map[string]string{
	"internal/agent":     "WireGuard|Peers|Roam|Rotation|PrivateKey|Masquerade|EndpointWith|IPTunnel|IPIP|KernelWithout|AddressesHave|OnlinkRoutes|MadeMeanwhile|LinksAreRenamed|VLAN",
	"internal/agent/nft": "DamagedSets",
}

// NeedLink says that a test needs a kernel with these kinds of links (`ip link help`).
// On a kernel without them it is left to the VM lane: a test that InVM does not list
// would run nowhere, and fails.
func NeedLink(t TB, kinds ...string) {
	t.Helper()
	Need(t, "ip", "unshare")
	for _, kind := range kinds {
		if HasLink(kind) {
			continue
		}
		if !runsInVM(t.Name()) {
			t.Fatalf("this kernel has no %s links, and no lane runs this test: name it in lab.InVM", kind)
		}
		fmt.Fprint(os.Stderr, "VM ONLY "+t.Name()+": this kernel has no "+kind+" links\n")
		t.Skipf("runs in the VM: this kernel has no %s links", kind)
	}
}

// HasLink tries to make a link of kind in a new network namespace. An IP tunnel without
// ends exists there already: its module made it (gre0, tunl0).
func HasLink(kind string) bool {
	script := "ip link add try0 type " + kind
	if kind == "vlan" { // is on another device
		script = "ip link add try1 type bridge && ip link add link try1 name try0 type vlan id 1"
	}
	text, err := exec.Command("unshare", "-n", "sh", "-c", script).CombinedOutput()
	return err == nil || bytes.Contains(text, []byte("File exists"))
}

// runsInVM says whether the VM lane runs the test, of whatever package.
func runsInVM(test string) bool {
	if os.Getenv("FLOCK_LANE") == "vm" {
		return false // it should run here, and cannot
	}
	top, _, _ := strings.Cut(test, "/")
	for _, pattern := range InVM {
		if regexp.MustCompile(pattern).MatchString(top) {
			return true
		}
	}
	return false
}

// Lack says that a test cannot run here because lacks are missing: it skips it with a
// line on stderr, or fails it where FLOCK_MUST is set.
func Lack(t TB, lacks string) {
	t.Helper()
	switch {
	case os.Getenv("FLOCK_MUST") != "":
		t.Fatalf("cannot run without %s, and FLOCK_MUST is set", lacks)
	default:
		fmt.Fprint(os.Stderr, "NOT RUN "+t.Name()+": needs "+lacks+"\n")
		t.Skipf("needs %s", lacks)
	}
}

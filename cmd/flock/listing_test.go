//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/lab"
)

// listed are the views of a server's kernel that a listing holds, each printing
// one JSON array or object.
var listed = [][]string{
	{"ip", "-d", "-j", "link"},
	{"ip", "-d", "-j", "addr"},
	{"ip", "-d", "-j", "rule"},
	{"ip", "-d", "-j", "-4", "route", "show", "table", "all"},
	{"ip", "-d", "-j", "-6", "route", "show", "table", "all"},
	{"ip", "-d", "-j", "neigh"},
	{"bridge", "-d", "-j", "fdb"},
	{"nft", "-j", "list", "ruleset"},
}

// volatile are the keys whose values change by themselves: counters, timers and
// what duplicate address detection is at.
var volatile = []string{
	"valid_life_time", "preferred_life_time", "expires", "used", "confirmed", "updated", "probes", "refcnt",
	"packets", "bytes", "metainfo", "tentative", "fdb_n_learned", "hello_timer", "tcn_timer", "topology_change_timer",
	"gc_timer", "hold_timer", "message_age_timer", "forward_delay_timer",
}

// numbered are numbers that the kernel counts up with each object it makes.
var numbered = regexp.MustCompile(`"(ifindex|handle)":\d+`)

func verbListings(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	list := listing
	if len(args) == 3 && args[2] == "kernel" {
		list, args = func(ctx context.Context, l *lab.Lab, host string) ([]byte, error) {
			text, err := kernelListing(ctx, l, host)
			return numbered.ReplaceAll(text, []byte(`"$1":0`)), err
		}, args[:2]
	}
	if len(args) != 2 {
		return usage("listings HOST FILE [kernel]")
	}
	text, err := list(ctx, w.lab, args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[1]), text, 0o600)
}

// listing is everything a network may leave on host, so that two can be
// compared: interfaces, addresses, rules, routes, permanent neighbours and
// forwarding entries, nftables, units, and what differs from this machine's root
// in /etc, /usr/local and /var/lib. The ports of the lab's containers are not in
// it: they are there with and without a network.
func listing(ctx context.Context, l *lab.Lab, host string) ([]byte, error) {
	text, err := kernelListing(ctx, l, host)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(text)
	if l.Init == lab.Systemd {
		if err := units(ctx, b, l, host); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(b, "# files\n")
	err = changedFiles(b, l.Disk(host))
	return b.Bytes(), err
}

// kernelListing is the kernel's part of a listing.
func kernelListing(ctx context.Context, l *lab.Lab, host string) ([]byte, error) {
	if err := atRest(ctx, l, host); err != nil {
		return nil, err
	}
	names, err := l.Containers(host)
	if err != nil {
		return nil, err
	}
	var ports []string
	for _, name := range names {
		ports = append(ports, lab.Port(name))
	}
	var b bytes.Buffer
	for _, argv := range listed {
		out, err := l.Net(ctx, host, argv...).Output()
		if err != nil {
			return nil, fmt.Errorf("list %v on %s: %w", argv, host, err)
		}
		fmt.Fprintf(&b, "# %s\n", strings.Join(argv, " "))
		if err := canonical(&b, out, ports); err != nil {
			return nil, fmt.Errorf("read %v on %s: %w", argv, host, err)
		}
	}
	return b.Bytes(), nil
}

// restsWithin is how long a server's devices may take to come to rest: the kernel reports
// a carrier once a second, and duplicate address detection takes another two.
const restsWithin = 10 * time.Second

// atRest waits until the kernel has settled what it settles by itself: the state that
// follows a device's carrier, and duplicate address detection. Without it two listings
// are alike, or not, by luck.
func atRest(ctx context.Context, l *lab.Lab, host string) error {
	for until := time.Now().Add(patience(restsWithin)); ; {
		out, err := l.Net(ctx, host, "ip", "-j", "addr").Output()
		if err != nil {
			return fmt.Errorf("list addresses on %s: %w", host, err)
		}
		restless, err := unsettled(out)
		if err != nil || len(restless) == 0 {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s does not come to rest: %s", host, strings.Join(restless, ", "))
		}
	}
}

// unsettled lists what ip -j addr shows that will change by itself.
func unsettled(text []byte) ([]string, error) {
	var links []struct {
		Name  string   `json:"ifname"`
		Flags []string `json:"flags"`
		State string   `json:"operstate"`
		Addrs []struct {
			Local     string `json:"local"`
			Tentative bool   `json:"tentative"`
			Failed    bool   `json:"dadfailed"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(text, &links); err != nil {
		return nil, fmt.Errorf("read ip -j addr: %w", err)
	}
	var out []string
	for _, link := range links {
		has := func(flag string) bool { return slices.Contains(link.Flags, flag) }
		if has("UP") && (has("LOWER_UP") && link.State == "DOWN" || has("NO-CARRIER") && link.State == "UP") {
			out = append(out, link.Name+" is "+link.State)
		}
		for _, a := range link.Addrs {
			if a.Tentative && !a.Failed && has("LOWER_UP") {
				out = append(out, a.Local+" is tentative")
			}
		}
	}
	return out, nil
}

// canonical writes one line per element, without what is volatile, learned or
// belongs to the given interfaces.
func canonical(b *bytes.Buffer, text []byte, ports []string) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // routes have 64-bit numbers
	if err := d.Decode(&value); err != nil {
		return err
	}
	if object, ok := value.(map[string]any); ok { // nft's
		value = object["nftables"]
	}
	list, ok := value.([]any)
	if !ok {
		return fmt.Errorf("want a list, have %T", value)
	}
	for _, v := range list {
		object, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("want an object, have %T", v)
		}
		if !lasting(object, ports) {
			continue
		}
		strip(object)
		if len(object) == 0 {
			continue
		}
		line, err := json.Marshal(object)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	return nil
}

// lasting is false for what the kernel learned or derives, and for the given interfaces.
func lasting(object map[string]any, ports []string) bool {
	for _, key := range []string{"ifname", "dev"} {
		if name, ok := object[key].(string); ok && slices.Contains(ports, name) {
			return false
		}
	}
	// The kernel makes these of the addresses, IPv6's only once duplicate address
	// detection is through.
	if object["table"] == "local" && object["protocol"] == "kernel" {
		return false
	}
	switch state := object["state"].(type) {
	case string: // bridge fdb
		return state == "permanent" || state == "static"
	case []any: // ip neigh
		return slices.Contains(state, any("PERMANENT"))
	}
	return true
}

func strip(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if slices.Contains(volatile, key) {
				delete(v, key)
				continue
			}
			strip(inner)
		}
	case []any:
		for _, inner := range v {
			strip(inner)
		}
	}
}

// units writes every unit file with its state, and flock's units as they run.
func units(ctx context.Context, b *bytes.Buffer, l *lab.Lab, host string) error {
	for _, argv := range [][]string{
		{"systemctl", "list-unit-files", "--no-legend", "--plain", "--no-pager"},
		{"systemctl", "list-units", "--all", "--no-legend", "--plain", "--no-pager", "*flock*"},
	} {
		out, err := l.Command(ctx, host, argv...).Output()
		if err != nil {
			return fmt.Errorf("list units on %s: %w", host, err)
		}
		fmt.Fprintf(b, "# %s\n", strings.Join(argv, " "))
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, ".mount") && !strings.Contains(line, ".scope") { // sessions come and go
				fmt.Fprintln(b, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return nil
}

// changedFiles writes the paths that a server added, changed (with a sum of what
// is below /etc) or removed on its disk. Directories count where this machine has none.
// The agent's program does not.
func changedFiles(b *bytes.Buffer, disk string) error {
	for _, top := range []string{"etc", "usr/local", "var/lib"} {
		err := filepath.WalkDir(filepath.Join(disk, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(path, disk)
			_, err = os.Lstat(name)
			switch {
			case name == "/var/lib/systemd":
				return fs.SkipDir // its clocks and seeds
			case name == "/usr/local/lib/flock":
				return fs.SkipDir // the agent's program stays as long as the server is in a cluster: see the walk purge
			case name == "/var/lib/flock": // what is in it counts
			case d.IsDir() && err == nil:
			case d.Type()&fs.ModeCharDevice != 0:
				fmt.Fprintf(b, "- %s\n", name)
			case top == "etc" && d.Type().IsRegular():
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(b, "%s %x\n", name, sha256.Sum256(text))
			default:
				fmt.Fprintln(b, name)
			}
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("list the files of %s: %w", disk, err)
		}
	}
	return nil
}

func TestUnsettled(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`[{"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"operstate":"UNKNOWN"}]`, ""},
		{`[{"ifname":"a","flags":["UP","LOWER_UP"],"operstate":"DOWN"}]`, "a is DOWN"},
		{`[{"ifname":"a","flags":["NO-CARRIER","UP"],"operstate":"UP"}]`, "a is UP"},
		{`[{"ifname":"a","flags":["NO-CARRIER","UP"],"operstate":"DOWN","addr_info":[{"local":"fd00::1","tentative":true}]}]`, ""},
		{`[{"ifname":"a","flags":["UP","LOWER_UP"],"operstate":"UP","addr_info":[{"local":"fd00::1"},{"local":"fe80::1","tentative":true}]}]`, "fe80::1 is tentative"},
		{`[{"ifname":"a","flags":["UP","LOWER_UP"],"operstate":"UP","addr_info":[{"local":"fe80::1","tentative":true,"dadfailed":true}]}]`, ""},
	} {
		have, err := unsettled([]byte(c.text))
		if err != nil || strings.Join(have, ", ") != c.want {
			t.Errorf("%s: want %q, have %q, %v", c.text, c.want, have, err)
		}
	}
}

func TestCanonical(t *testing.T) {
	in := `[{"ifname":"vxl0","mtu":1450,"linkinfo":{"info_data":{"hello_timer":3,"vni":42}}},
		{"ifname":"vc1","mtu":1500},{"dst":"10.0.4.9","dev":"vxl0","state":["REACHABLE"]},
		{"dst":"10.0.4.8","dev":"vxl0","state":["PERMANENT"],"used":7},{"mac":"00:00","ifname":"vx","state":""}]`
	want := `{"ifname":"vxl0","linkinfo":{"info_data":{"vni":42}},"mtu":1450}
{"dev":"vxl0","dst":"10.0.4.8","state":["PERMANENT"]}
`
	var b bytes.Buffer
	if err := canonical(&b, []byte(in), []string{"vc1"}); err != nil {
		t.Fatal(err)
	}
	if have := b.String(); want != have {
		t.Errorf("want %s, have %s", want, have)
	}
}

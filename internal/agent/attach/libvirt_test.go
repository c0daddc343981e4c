//go:build linux

package attach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

const webXML = `<domain type='qemu'>
  <name>web</name>
  <uuid>2f1a9c4e-0000-4000-8000-000000000001</uuid>
  <devices>
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
`

// shutOff are guests, web one of them, that do not run, and a virsh that changes their file as
// libvirt does. asked is how often it was called.
func shutOff(t *testing.T) (l *libvirtd, path string, asked *int) {
	t.Helper()
	l = &libvirtd{}
	l.Kept, l.Running, l.Proc = t.TempDir(), t.TempDir(), t.TempDir()
	path, asked = filepath.Join(l.Kept, "web.xml"), new(int)
	write(t, path, webXML)
	l.virsh = func(_ context.Context, input string, args ...string) (string, error) {
		*asked++
		text := read(t, path)
		line := strings.Join(args, " ")
		mac := regexp.MustCompile(`mac address='[^']*'`).FindString(input)
		own := regexp.MustCompile(`(?s)    <interface [^>]*>(?:[^/]|/[^i])*?` + mac + `.*?</interface>\n`)
		switch {
		case !strings.Contains(line, "2f1a9c4e-0000-4000-8000-000000000001"):
			return "", fmt.Errorf("%s: no such guest", line)
		case args[0] == "domstate":
			return "shut off", nil
		case args[0] == "attach-device":
			text = strings.Replace(text, "  </devices>", "    "+input+"\n  </devices>", 1)
		case args[0] == "update-device" && own.MatchString(text):
			text = own.ReplaceAllLiteralString(text, "    "+input+"\n")
		case args[0] == "detach-device" && own.MatchString(text):
			text = own.ReplaceAllLiteralString(text, "")
		case args[0] == "metadata":
			text = regexp.MustCompile(`(?s)  <metadata>.*</metadata>\n`).ReplaceAllString(text, "")
			if i := strings.Index(line, "--set <attached>"); i >= 0 {
				its := `<flock:attached xmlns:flock="` + args[3] + `">` + regexp.MustCompile("(</?)").ReplaceAllString(line[i+len("--set <attached>"):], "${1}flock:")
				text = strings.Replace(text, "  <devices>", "  <metadata>\n"+its+"\n</metadata>\n  <devices>", 1)
			}
		default:
			return "", fmt.Errorf("%s: not understood\n%s", line, input)
		}
		if args[0] != "domstate" && !strings.Contains(line, "--config") || strings.Contains(line, "--live") {
			return "", fmt.Errorf("%s: the guest is shut off", line)
		}
		write(t, path, text)
		return "", nil
	}
	return l, path, asked
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func guestWants() []spec.Attachment {
	return []spec.Attachment{
		{Container: "libvirt/web", Interface: "eth0", Host: "flk-0", Network: "vx1", Bridge: "vxl0", MAC: "52:54:00:00:00:01", MTU: 1450, Moved: true},
		{Container: "libvirt/web", Interface: "eth1", Host: "flk-1", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:00:00:00:01", MTU: 1450},
		{Container: "libvirt/later", Interface: "eth0", Host: "flk-2", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:00:00:00:02"},
	}
}

// differing are the lines of what would be done to make guests what want says.
func differing(t *testing.T, l *libvirtd, k *host.Host, want []spec.Attachment) (ops []family.Op) {
	t.Helper()
	have := &spec.Host{}
	if err := l.observe(k, want, have); err != nil {
		t.Fatal(err)
	}
	d := &family.Difference{Want: &spec.Host{Attached: want}, Have: have}
	diffAttached(d)
	return append(d.Found[family.Clearing], d.Found[family.Coming]...)
}

func carryOut(t *testing.T, l *libvirtd, k *host.Host, ops []family.Op) {
	t.Helper()
	for _, op := range ops {
		var err error
		if want, wanted := op.Want.(spec.Attachment); wanted {
			err = l.apply(context.Background(), k, want)
		} else {
			err = l.release(context.Background(), k, op.Have.(spec.Attachment))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestShutOffGuest: a guest that does not run is given what is wanted for its next start, what
// somebody changes is seen and mended, and afterwards it is what it was.
func TestShutOffGuest(t *testing.T) {
	l, path, asked := shutOff(t)
	k, want := &host.Host{Files: &host.Files{Cluster: "t"}}, guestWants()
	if ops := differing(t, l, k, want); len(ops) != 2 || *asked > 0 || len(k.Awaited) != 1 || k.Awaited[0] != "libvirt/later" {
		t.Errorf("%d differ, virsh was asked %d times, awaited %v", len(ops), *asked, k.Awaited)
	}
	carryOut(t, l, k, differing(t, l, k, want))
	ours := read(t, path)
	if ops := differing(t, l, k, want); len(ops) > 0 {
		t.Errorf("there is left to do %+v in\n%s", ops, ours)
	}
	before := *asked
	carryOut(t, l, k, []family.Op{{Want: want[0]}, {Want: want[1]}})
	if *asked != before {
		t.Error("virsh is told what is so already")
	}
	for what, change := range map[string][2]string{
		"bridge": {"bridge='vxl0'", "bridge='br7'"}, "MTU": {"1450", "1400"}, "interface": {"6a:0c:00:00:00:01'/>", "6a:0c:00:00:00:77'/>"},
		"mark": {"network='vx1'", "network='vx2'"}, "all marks": {"urn:flock:t", "urn:flock:u"},
	} {
		write(t, path, strings.Replace(ours, change[0], change[1], 1))
		ops := differing(t, l, k, want)
		if len(ops) == 0 {
			t.Errorf("another %s is not seen", what)
		}
		carryOut(t, l, k, ops)
		if ops := differing(t, l, k, want); len(ops) > 0 {
			t.Errorf("another %s: there is left to do %+v in\n%s", what, ops, read(t, path))
		}
	}
	write(t, path, ours)
	another := guestWants()
	another[0].MAC, another[1].MAC, another[1].Moved = "6a:0c:00:00:00:05", "52:54:00:00:00:01", true
	another[0].Moved = false
	carryOut(t, l, k, differing(t, l, k, another))
	if ops := differing(t, l, k, another); len(ops) > 0 || strings.Count(read(t, path), "<interface type='bridge'>") != 2 {
		t.Errorf("interfaces that change places: there is left to do %+v in\n%s", ops, read(t, path))
	}
	carryOut(t, l, k, differing(t, l, k, nil))
	space := regexp.MustCompile(`\s+`)
	if have := space.ReplaceAllString(read(t, path), ""); have != space.ReplaceAllString(webXML, "") {
		t.Errorf("it was\n%s\nand is\n%s", webXML, read(t, path))
	}
	if left, err := l.objects(k); err != nil || len(left) > 0 {
		t.Errorf("%v remains, %v", left, err)
	}
}

// TestGuestRefuses: what cannot be is said before anything is done, and what to do.
func TestGuestRefuses(t *testing.T) {
	l, path, _ := shutOff(t)
	moved, more := guestWants()[0], guestWants()[1]
	exists, gone := more, moved
	exists.Interface, gone.MAC = "eth0", "52:54:00:00:00:99"
	direct := strings.ReplaceAll(strings.ReplaceAll(webXML, "type='network'", "type='direct'"), "network='default'", "dev='eth0'")
	for _, c := range []struct {
		text       string
		a          spec.Attachment
		what, next string
	}{
		{webXML, moved, "", ""},
		{webXML, more, "", ""},
		{webXML, guestWants()[2], "", ""},
		{webXML, exists, "libvirt/web has an interface eth0 already", "virsh domiflist web"},
		{webXML, gone, "libvirt/web has no interface with the MAC 52:54:00:00:00:99", "delnet forgets"},
		{direct, moved, "libvirt/web's eth0 is of type direct", "by addnet"},
	} {
		write(t, path, c.text)
		what, next, err := l.refuse(c.a)
		if err != nil || !strings.Contains(what, c.what) || !strings.Contains(next, c.next) || c.what == "" && what != "" {
			t.Errorf("%s %s: want %q, have %q, next %q, %v", c.a.Container, c.a.Interface, c.what, what, next, err)
		}
	}
	ops := []family.Op{{Want: guestWants()[2]}, {Want: more}}
	if out, err := l.silent(context.Background(), ops); err != nil || len(out) > 0 {
		t.Errorf("libvirt answers: %v, %v", out, err)
	}
	for _, c := range []struct {
		err  error
		next string
	}{{errNoVirsh, "apt install libvirt-clients"}, {errors.New("connection refused"), "systemctl start libvirtd"}} {
		l.virsh = func(context.Context, string, ...string) (string, error) { return "", c.err }
		if out, err := l.silent(context.Background(), ops); err != nil || len(out) != 1 || out[0].Next != c.next {
			t.Errorf("%v: have %v, %v", c.err, out, err)
		}
		if out, err := l.silent(context.Background(), ops[:1]); err != nil || len(out) > 0 {
			t.Errorf("a guest that is not there: %v, %v", out, err)
		}
	}
}

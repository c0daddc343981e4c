package capture

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/seed"
)

// Another program reads what is written: of one sort of device, and of both.
func TestFile(t *testing.T) {
	t.Parallel()
	lab.Need(t, "tcpdump")
	r := seed.New(t)
	points := []Point{{Server: "s1", Device: "vxl0"}, {Server: "away", Device: "vxl0"}, {Server: "s2", Device: "wg0"}}
	for _, links := range [][2]link{{ethernet, ethernet}, {bareIP, bareIP}, {ethernet, bareIP}} {
		sources := map[int]Source{0: {Ethernet: bool(links[0])}, 2: {Ethernet: bool(links[1]), Skew: time.Second}}
		var b bytes.Buffer
		f := NewFile(&b, "flock 1", "icmp", 1000, points, sources)
		at := time.Unix(1_700_000_000, 987654321)
		for i := range 100 {
			point := 2 * (i % 2)
			data := packet(r, links[point/2])
			if i == 98 {
				data = data[:len(data)-1]
			}
			f.Packet(Packet{Point: point, Time: at.Add(time.Duration(i)), Out: i%3 == 0, Length: len(data) + 7, Bytes: data})
		}
		f.Packet(Packet{Point: 1, Time: at})
		f.Lost(2, 5)
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "all.pcapng")
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("tcpdump", "-n", "-tt", "--nano", "-r", name)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if starts := func(s, p string) bool { return strings.HasPrefix(s, p) }; len(lines) < 100 || !starts(lines[0], "1700000000.987654321 ") || !strings.Contains(string(out), "1700000000.987654420 ") {
			t.Errorf("%v: %d lines, %s …\n%s", links, len(lines), lines[0], said.String())
		}
		if !bytes.Contains(b.Bytes(), []byte{7, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0}) { // isb_osdrop: 5
			t.Error("packets that the system dropped are not in it")
		}
		if !strings.Contains(b.String(), "s2:wg0") || strings.Contains(b.String(), "away") {
			t.Errorf("the interfaces are others")
		}
	}
}

// What is added to cut packets makes them no longer than a reader allows, and a filter of any
// length none of it unreadable.
func TestFileOfCutPackets(t *testing.T) {
	t.Parallel()
	lab.Need(t, "tcpdump")
	const snap = 96
	var b bytes.Buffer
	f := NewFile(&b, "flock 1", strings.Repeat("x", 70000), snap, []Point{{Server: "s1", Device: "vxl0"}, {Server: "s2", Device: "wg0"}}, map[int]Source{0: {Ethernet: true}, 1: {}})
	f.Packet(Packet{Point: 0, Time: time.Unix(1, 0), Length: 1500, Bytes: append(make([]byte, snap), 1, 2, 3, 4)})
	f.Packet(Packet{Point: 1, Time: time.Unix(2, 0), Length: 1500, Bytes: append([]byte{0x45}, make([]byte, snap-1)...)})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tcpdump", "-n", "-t", "-r", "-")
	cmd.Stdin = &b
	var said bytes.Buffer
	cmd.Stderr = &said
	if _, err := cmd.Output(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
}

// TestTsharkReadsIt: interfaces bear the names of servers and devices, and what is said of them; packets have
// their order, times, directions and lengths, with and without a header of Ethernet.
func TestTsharkReadsIt(t *testing.T) {
	t.Parallel()
	lab.Need(t, "tshark", "capinfos")
	name := filepath.Join(t.TempDir(), "all.pcapng")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	points := []Point{{Server: "s1", Device: "vxl0"}, {Server: "away", Device: "vxl0"}, {Server: "s2", Device: "wg0"}}
	f := NewFile(file, "flock 1", "icmp or arp", 1000, points, map[int]Source{0: {Ethernet: true}, 2: {Skew: 2100 * time.Millisecond}})
	at, r := time.Unix(1_700_000_000, 987654321), seed.New(t)
	var want strings.Builder
	for i := range 10 {
		p := Packet{Point: 2 * (i % 2), Time: at.Add(time.Duration(i) * time.Second), Out: i%3 == 0}
		if p.Bytes = packet(r, i%2 == 0); i%2 == 0 {
			fmt.Fprintf(&want, "%d.987654321,s1:vxl0", 1_700_000_000+i)
		} else {
			fmt.Fprintf(&want, "%d.987654321,s2:wg0", 1_700_000_000+i)
		}
		p.Length = len(p.Bytes) + i
		f.Packet(p)
		header := 14 * (i % 2)
		fmt.Fprintf(&want, ",0x%08x,%d,%d\n", map[bool]int{false: 1, true: 2}[p.Out], len(p.Bytes)+header, p.Length+header)
	}
	f.Lost(2, 5)
	if err := errors.Join(f.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	read := func(argv ...string) string {
		out, err := exec.Command(argv[0], append(argv[1:], name)...).Output()
		if err != nil {
			t.Fatalf("%v: %v", argv, err)
		}
		return string(out)
	}
	have := read("tshark", "-n", "-T", "fields", "-E", "separator=,", "-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.cap_len", "-e", "frame.len", "-r")
	if have != want.String() {
		t.Errorf("want\n%s\nhave\n%s", want.String(), have)
	}
	have = regexp.MustCompile(` *\n +`).ReplaceAllString(read("capinfos"), "; ")
	for _, part := range []string{
		"Strict time order:   True", "Capture application: flock 1", "Number of interfaces in file: 2",
		"Interface #0 info:; Name = s1:vxl0; Encapsulation = Ethernet (1 - ether); Capture length = 1018; Time precision = nanoseconds (9);", "Filter string = icmp or arp; Number of stat entries = 0; Number of packets = 5",
		"Interface #1 info:; Name = s2:wg0; ", "Filter string = icmp or arp; Comment = clock corrected by -2.1s; Number of stat entries = 1; Number of packets = 5",
	} {
		if !strings.Contains(have, part) {
			t.Errorf("want %q in\n%s", part, have)
		}
	}
}

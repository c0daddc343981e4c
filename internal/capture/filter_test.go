package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/seed"
)

// machine runs a program as the kernel would.
func machine(t *testing.T, code []Instruction) *bpf.VM {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(code))
	for i, c := range code {
		raw[i] = bpf.RawInstruction{Op: uint16(c >> 48), Jt: uint8(c >> 40), Jf: uint8(c >> 32), K: uint32(c)}
	}
	list, all := bpf.Disassemble(raw)
	if !all {
		t.Fatalf("not every instruction is one: %v", raw)
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	return vm
}

// tcpdumps compiles a filter by libpcap; nil: it rejects all packets. Its optimizer (1.10.3) is
// left out: it changes what some filters mean (FLOCK_SEED=8010205930103389019 had one).
func tcpdumps(t *testing.T, link, filter string) *bpf.VM {
	t.Helper()
	out, err := exec.Command("tcpdump", "-s", "262144", "-O", "-y", link, "-ddd", filter).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "rejects all packets") {
			return nil
		}
		t.Fatalf("tcpdump -y %s %q: %v\n%s", link, filter, err, out)
	}
	var code []Instruction
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue
		}
		var n [4]uint64
		for i := range f {
			if n[i], err = strconv.ParseUint(f[i], 10, 32); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		code = append(code, instruction(uint16(n[0]), uint8(n[1]), uint8(n[2]), uint32(n[3])))
	}
	return machine(t, code)
}

func takes(t *testing.T, vm *bpf.VM, packet []byte) bool {
	t.Helper()
	if vm == nil {
		return false
	}
	n, err := vm.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// pick is one of some values.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

var (
	someHosts  = []string{"10.0.4.1", "10.0.4.2", "10.0.5.1", "10.1.0.1", "192.168.7.130"}
	someHosts6 = []string{"fd04::1", "fd04::2", "fd05::1", "fd04:0:0:1::1"}
	somePorts  = []uint16{22, 53, 67, 80, 443, 1000, 1500, 2000, 65535}
	someProtos = []byte{1, 2, 6, 17, 44, 47, 58, 132}
)

// packet is a whole one with things that filters ask for.
func packet(r *rand.Rand, l link) []byte {
	var b []byte
	sort := r.IntN(10)
	if l == ethernet {
		b = append(b, pick(r, []byte{255, 255, 255, 255, 255, 255}, []byte{2, 0, 0, 0, 0, 1}, []byte{1, 0, 94, 0, 0, 1})...)
		b = append(b, 2, 0, 0, 0, 0, byte(r.IntN(3)))
		t := uint16(typeIP4)
		switch {
		case sort == 0:
			t = typeARP
		case sort == 1:
			t = pick(r, uint16(typeRARP), 0x88cc, typeVLAN, 100)
		case sort < 5:
			t = typeIP6
		}
		b = binary.BigEndian.AppendUint16(b, t)
	}
	transport := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, pick(r, somePorts...)), pick(r, somePorts...))
	transport = append(transport, make([]byte, 8+r.IntN(400))...)
	from, to := netip.MustParseAddr(pick(r, someHosts...)), netip.MustParseAddr(pick(r, someHosts...))
	switch {
	case sort < 2:
		b = append(b, 0, 1, 8, 0, 6, 4, 0, byte(1+r.IntN(2)), 2, 0, 0, 0, 0, 1)
		b = append(append(append(b, from.AsSlice()...), 2, 0, 0, 0, 0, 2), to.AsSlice()...)
		return append(b, make([]byte, 18)...)
	case sort < 5:
		from, to = netip.MustParseAddr(pick(r, someHosts6...)), netip.MustParseAddr(pick(r, someHosts6...))
		if r.IntN(8) == 0 {
			to = netip.MustParseAddr("ff02::1")
		}
		next := pick(r, someProtos...)
		b = append(b, 0x60, 0, 0, 0, 0, 0, next, 64)
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		if next == proto6Frag {
			b = append(b, pick(r, someProtos...), 0, 0, 1, 0, 0, 0, 7)
		}
		return append(b, transport...)
	}
	words := 5 + r.IntN(3)
	b = append(b, 0x40|byte(words), 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, pick(r, uint16(0), 0, 0, 0x4000, 0x2000, 0x2010, 5))
	b = append(b, 64, pick(r, someProtos...), 0, 0)
	if r.IntN(8) == 0 {
		to = netip.MustParseAddr("224.0.0.251")
	}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(append(b, make([]byte, 4*words-20)...), transport...)
}

// expression is one that libpcap understands, too.
func expression(r *rand.Rand, depth int) string {
	if depth > 0 {
		switch r.IntN(6) {
		case 0:
			return expression(r, depth-1) + pick(r, " and ", " or ", " && ", " || ") + expression(r, depth-1)
		case 1:
			return pick(r, "not ", "! ") + expression(r, depth-1)
		case 2:
			return "(" + expression(r, depth-1) + pick(r, " and ", " or ") + expression(r, depth-1) + ")"
		}
	}
	dir := pick(r, "", "", "src ", "dst ", "src or dst ", "src and dst ")
	port := strconv.Itoa(int(pick(r, somePorts...)))
	return pick(r,
		pick(r, "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "multicast", "broadcast", "ip multicast", "ip6 multicast"),
		dir+"host "+pick(r, someHosts...),
		dir+"host "+pick(r, someHosts...)+" or "+pick(r, someHosts...),
		dir+"host "+pick(r, someHosts6...),
		pick(r, "ip ", "arp ")+dir+"host "+pick(r, someHosts...),
		"ip6 "+dir+"host "+pick(r, someHosts6...),
		dir+"net "+pick(r, "10.0.4.0/24", "10.0.0.0/8", "10.0", "192.168.7.128/25", "10", "0.0.0.0/0", "10.0.4.0 mask 255.255.255.0", "fd04::/16", "fd04::/64", "fd04::/48"),
		pick(r, "", "tcp ", "udp ", "sctp ")+dir+"port "+port,
		dir+"port "+port+" or "+port,
		pick(r, "", "tcp ", "udp ")+dir+"portrange "+pick(r, "22-80", "1000-2000", "53-53", "443-80"),
		pick(r, "", "ip ", "ip6 ")+"proto "+strconv.Itoa(int(pick(r, someProtos...))),
		"ether "+pick(r, "", "src ", "dst ")+"host 02:00:00:00:00:0"+strconv.Itoa(r.IntN(3)),
		"ether proto "+pick(r, "0x88cc", "0x0806", "2048"),
		pick(r, "greater ", "less ")+strconv.Itoa(r.IntN(300)))
}

// Every program says of every packet what libpcap's says.
func TestFiltersAgainstTcpdump(t *testing.T) {
	t.Parallel()
	lab.Need(t, "tcpdump")
	r := seed.New(t)
	filters := []string{
		"icmp and host 10.0.4.1", "not port 22", "tcp port 80 or 443", "udp port 67 or udp port 68", "arp or icmp or icmp6",
		"not host 10.0.4.1 and 10.0.4.2", "src 10.0.4.1 and dst 10.0.4.2", "dst port domain", "ip or not ip6 and tcp",
	}
	for len(filters) < 120 {
		filters = append(filters, expression(r, 3))
	}
	yes, no := 0, 0
	for _, l := range []link{ethernet, bareIP} {
		name := map[link]string{ethernet: "EN10MB", bareIP: "RAW"}[l]
		var packets [][]byte
		for range 400 {
			packets = append(packets, packet(r, l))
		}
		for _, text := range filters {
			if l == bareIP && (strings.Contains(text, "ether") || strings.Contains(text, "cast") || strings.Contains(text, "arp")) {
				continue // of which libpcap says that it is an error
			}
			f, err := ParseFilter(text, nil)
			var frames, plains []Instruction
			if err == nil {
				frames, plains, err = f.Programs(262144)
			} else if strings.Contains(err.Error(), "no packet can be like that") {
				err = nil
			}
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			var ours *bpf.VM
			if f.build != nil {
				ours = machine(t, map[link][]Instruction{ethernet: frames, bareIP: plains}[l])
			}
			theirs := tcpdumps(t, name, text)
			for _, p := range packets {
				want := takes(t, theirs, p)
				if takes(t, ours, p) != want {
					t.Errorf("%s, %s: tcpdump says %v of %x", name, text, want, p)
					break
				}
				if want {
					yes++
				} else {
					no++
				}
			}
		}
	}
	t.Logf("%d packets taken, %d not", yes, no)
	if yes < 1000 || no < 1000 {
		t.Error("the packets or the filters are too much alike to show anything")
	}
}

// A filter of more than 255 instructions between a jump and where it leads, and one that no
// kernel takes.
func TestLongFilters(t *testing.T) {
	t.Parallel()
	f, err := ParseFilter("port 80", nil)
	if err != nil {
		t.Fatal(err)
	}
	var nets []netip.Prefix
	for i := range 120 {
		nets = append(nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i), 0}), 24))
	}
	frames, packets, err := f.Within(Subnets(append(nets, netip.MustParsePrefix("10.0.4.0/24")))).Programs(100)
	if err != nil || len(frames) < 1000 {
		t.Fatalf("%d instructions: %v", len(frames), err)
	}
	r := seed.New(t)
	for _, l := range []link{ethernet, bareIP} {
		short, err := ParseFilter("port 80 and (ip host 10.0.4.1 or ip host 10.0.4.2)", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b, err := short.Programs(100)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := machine(t, frames), machine(t, a)
		if l == bareIP {
			ours, theirs = machine(t, packets), machine(t, b)
		}
		for range 2000 {
			if p := packet(r, l); takes(t, ours, p) != takes(t, theirs, p) {
				t.Fatalf("of %x", p)
			}
		}
	}
	for range 4 {
		nets = append(nets, nets...)
	}
	if _, _, err := f.Within(Subnets(nets)).Programs(100); err == nil {
		t.Error("a program of any length is made")
	}
}

func TestFilterSnap(t *testing.T) {
	t.Parallel()
	f, err := ParseFilter("", nil)
	if err != nil {
		t.Fatal(err)
	}
	frames, _, err := f.Programs(96)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := machine(t, frames).Run(make([]byte, 1500)); err != nil || n != 96 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestFilterNames(t *testing.T) {
	t.Parallel()
	resolve := func(name string) []netip.Addr {
		if name == "s1" || name == "Web1" {
			return []netip.Addr{netip.MustParseAddr("10.0.4.1"), netip.MustParseAddr("fd04::1")}
		}
		return nil
	}
	named, err := ParseFilter("src s1 and tcp", resolve)
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := named.Programs(1)
	spelled, err := ParseFilter("(src host 10.0.4.1 or src host fd04::1) and tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _, _ := spelled.Programs(1)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v\n%v", a, b)
	}
	for _, text := range []string{"host Web1", "SRC Web1 AND TCP", `ether proto \arp`, "ether broadcast"} {
		if _, err := ParseFilter(text, resolve); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"(icmp":                         "closing parenthesis is missing",
		"icmp)":                         `")": and or or is missing before it`,
		"icmp arp":                      `"arp": and or or is missing before it`,
		"and icmp":                      "something is missing before it",
		"icmp and":                      "ends too early",
		"not":                           "ends too early",
		"host":                          "ends too early",
		"host and icmp":                 "an address or a number is missing",
		"host s9":                       `"s9" is neither an address nor a member`,
		"icpm":                          `"icpm" is neither an address nor a member`,
		"port 65536":                    "is no port",
		"port 80-90":                    "is no port",
		"portrange 80":                  "is no range of ports",
		"icmp port 80":                  "ports are of tcp, udp and sctp",
		"tcp host 10.0.0.1":             "a protocol above IP has ports",
		"net 10.0.4.1/24":               "has bits beyond its length: 10.0.4.0/24",
		"net 10.0.4.0/33":               "is no subnet",
		"tcp[13] & 2 != 0":              "bytes of packets cannot be compared here",
		"vlan 5":                        "is not among what a filter can have here",
		"ether host 10.0.0.1":           "no Ethernet address",
		"ip broadcast":                  "broadcast is ether's",
		"not ether":                     "missing after it",
		"src broadcast":                 "no src, dst or host before",
		"host multicast":                "no src, dst or host before",
		"arp and ip":                    "",
		"ip6 host 10.0.0.1":             "no packet can be like that",
		"less x":                        "no number of bytes",
		"proto 256":                     "no IP protocol",
		strings.Repeat("not ", 5000):    "within each other",
		"net 10.0.4.0 mask 255.0.255.0": "is no mask",
	} {
		_, err := ParseFilter(text, nil)
		if says == "" && err == nil {
			continue // nothing is like that, which only the kernel's machine finds out
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("tcp port 80 and not host 10.0.4.1")
	f.Add("src or dst net 10.0/16 or (ip6 and port domain)")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFilter(text, nil)
		if err != nil {
			return
		}
		if frames, _, err := got.Programs(1); err == nil {
			machine(t, frames)
		}
	})
}

package trace

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// answered are empty answers to all questions, to which more is added.
func answered(reqs map[string][]*spec.Request, more func(*spec.TraceReply)) map[string][]*spec.Reply {
	out := map[string][]*spec.Reply{}
	for server, list := range reqs {
		for _, q := range list {
			r := &spec.Reply{}
			if q.Trace != nil {
				r.Trace = &spec.TraceReply{Answers: make([]string, len(q.Trace.Questions))}
				more(r.Trace)
			}
			out[server] = append(out[server], r)
		}
	}
	return out
}

// TestStoppedWithoutContainer: a server that says of itself that it does not run is not asked for
// ever.
func TestStoppedWithoutContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	tr, err := New(w.c, w.compiled, network.Joining, "s1", "10.0.4.77", "", "")
	if err != nil {
		t.Fatal(err)
	}
	rounds := 0
	r := tr.Run(t.Context(), func(reqs map[string][]*spec.Request) map[string][]*spec.Reply {
		if rounds++; rounds > 3*mostRounds {
			t.Fatal("it is asked for ever")
		}
		return answered(reqs, func(r *spec.TraceReply) { r.Stopped = true })
	}, make([]byte, 16))
	if r.Reaches {
		t.Errorf("it arrives: %s", told(r.Way))
	}
}

// TestRounds: a server that never says enough is not asked for ever: here each answer names sets
// that must be read.
func TestRounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	tr, err := New(w.c, w.compiled, network.Joining, "s1", "s2", "", "")
	if err != nil {
		t.Fatal(err)
	}
	rounds := 0
	r := tr.Run(t.Context(), func(reqs map[string][]*spec.Request) map[string][]*spec.Reply {
		rounds++
		for _, f := range tr.all {
			if f.base {
				f.Rules.Sets = append(f.Rules.Sets, &kernel.Set{Name: fmt.Sprint(rounds)})
			}
		}
		return answered(reqs, func(*spec.TraceReply) {})
	}, make([]byte, 16))
	if rounds > mostRounds || r.Reaches || !strings.HasPrefix(r.Verdict, "not known") {
		t.Errorf("%d rounds, %s", rounds, r.Verdict)
	}
}

// TestMuch: of answers no more is kept than fits in the memory of a laptop.
func TestMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	tr, err := New(w.c, w.compiled, network.Joining, "s1", "s2", "", "")
	if err != nil {
		t.Fatal(err)
	}
	one := strings.Repeat(" ", 1<<20)
	asked := 0
	r := tr.Run(t.Context(), func(reqs map[string][]*spec.Request) map[string][]*spec.Reply {
		asked++
		return answered(reqs, func(r *spec.TraceReply) {
			for range 200 {
				r.Answers = append(r.Answers, one)
			}
		})
	}, make([]byte, 16))
	if asked != 1 || r.Reaches {
		t.Errorf("%d questions, %s", asked, r.Verdict)
	}
}

// TestUnsorted: devices are found whatever order a server tells them in.
func TestUnsorted(t *testing.T) {
	t.Parallel()
	o := binary.LittleEndian
	one := func(kind int, value []byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, uint16(4+len(value)))
		return append(binary.LittleEndian.AppendUint16(b, uint16(kind)), value...)
	}
	device := func(index int, name string) string {
		b := make([]byte, 16)
		o.PutUint32(b[4:], uint32(index))
		return base64.StdEncoding.EncodeToString(append(b, one(3, append([]byte(name), 0))...))
	}
	address := func(index int, a string) string {
		b := []byte{kernel.INet, 24, 0, 0, byte(index), 0, 0, 0}
		return base64.StdEncoding.EncodeToString(append(b, one(2, netip.MustParseAddr(a).AsSlice())...))
	}
	f := &facts{}
	f.takeBase(o, []string{device(9, "c") + " " + device(2, "a") + " " + device(5, "b"), address(9, "10.0.0.9") + " " + address(2, "10.0.0.2")}, false)
	for index, name := range map[int]string{2: "a", 5: "b", 9: "c"} {
		if l := f.at(index); l == nil || l.Name != name {
			t.Errorf("%d: want %s, have %v", index, name, l)
		}
	}
	if h := f.holder(netip.MustParseAddr("10.0.0.9")); h == nil || h.Name != "c" || f.at(3) != nil {
		t.Errorf("10.0.0.9 is on %v", h)
	}
}

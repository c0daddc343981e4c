//go:build linux

package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// lineProber is a server: it answers a while after it was asked first, from the time on that it hears.
// A look at it may take long, as on a busy machine.
type lineProber struct {
	after time.Duration // 0: never
	deaf  bool          // sends nothing
	stall time.Duration // of the first look
	began time.Time
}

func (l *lineProber) ask(spec.Probe) error {
	if l.began.IsZero() {
		l.began = time.Now()
	}
	return nil
}

func (l *lineProber) heard(spec.Probe) (bool, error) {
	if l.stall > 0 {
		<-time.After(l.stall)
		l.stall = 0
	}
	return l.after > 0 && !l.began.IsZero() && time.Since(l.began) >= l.after, nil
}

func (l *lineProber) sends() bool { return !l.deaf }
func (*lineProber) close()        {}

// TestHowLongSilenceLasts: who is silent costs 140 ms where the line below is short and answers, longer
// where the line, the other members or this machine are slow, and 1.3 s where nothing is known of it. An
// answer that takes a little longer than the line is never missed.
func TestHowLongSilenceLasts(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	lan := map[string]*lineProber{"192.0.2.1": {after: ms}, "192.0.2.2": {after: ms}, "192.0.2.3": {after: 200 * ms}, "2001:db8::1": {after: ms}}
	below := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			at, _ := netip.ParseAddr(a) // "" is none
			out = append(out, at)
		}
		return out
	}
	for _, test := range []struct {
		name    string
		members []*lineProber
		below   []netip.Addr
		want    time.Duration
		silent  int
	}{
		{"a short line", []*lineProber{{}}, below("192.0.2.1"), 140 * ms, 1},
		{"by IPv6", []*lineProber{{}}, below("2001:db8::1"), 140 * ms, 1},
		{"beside one that answers", []*lineProber{{}, {after: ms}}, below("192.0.2.1", "192.0.2.2"), 140 * ms, 1},
		{"a line of 200 ms", []*lineProber{{}}, below("192.0.2.3"), 800 * ms, 1},
		{"an answer by a line of 200 ms that takes two turns", []*lineProber{{after: 400 * ms}}, below("192.0.2.3"), 400 * ms, 0},
		{"beside a slow one", []*lineProber{{}, {after: 100 * ms}}, below("192.0.2.1", "192.0.2.3"), 400 * ms, 1},
		{"a machine that stands still for 100 ms", []*lineProber{{stall: 100 * ms}}, below("192.0.2.1"), 400 * ms, 1},
		{"a line that does not answer", []*lineProber{{}}, below("192.0.2.4"), 1300 * ms, 1},
		{"one of two that does not answer", []*lineProber{{}, {}}, below("192.0.2.1", "192.0.2.4"), 1300 * ms, 2},
		{"nobody knows where", []*lineProber{{}}, below(""), 1300 * ms, 1},
		{"a device that does not send yet", []*lineProber{{deaf: true}}, below("192.0.2.1"), 1300 * ms, 1},
		{"one that sends after a second", []*lineProber{{deaf: true, after: 1000 * ms}}, below("192.0.2.1"), 1000 * ms, 0},
		{"the first answer is lost", []*lineProber{{after: 25 * ms}}, below("192.0.2.1"), 25 * ms, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			probes := make([]spec.Probe, len(test.members))
			members := map[string]*lineProber{}
			for i, m := range test.members {
				probes[i] = spec.Probe{Link: string(rune('a' + i)), Below: test.below[i]}
				members[probes[i].Link] = m
			}
			pace, began := paceBy(func(netip.Addr) prober { return lines(lan) }), time.Now()
			left, err := awaitAnswers(t.Context(), probes, func(p spec.Probe) prober { return members[p.Link] }, pace)
			if took := time.Since(began); err != nil || len(left) != test.silent || took < test.want || took > test.want+paceTimes*probePoll {
				t.Errorf("%s: took %v, %v is wanted, %d are silent, %v", test.name, took, test.want, len(left), err)
			}
		})
		for a, l := range lan {
			lan[a] = &lineProber{after: l.after}
		}
	}
}

// lines answer echoes below, by address.
type lines map[string]*lineProber

func (l lines) ask(p spec.Probe) error {
	if to := l[p.To.String()]; to != nil {
		return to.ask(p)
	}
	return nil
}

func (l lines) heard(p spec.Probe) (bool, error) {
	if to := l[p.To.String()]; to != nil {
		return to.heard(p)
	}
	return false, nil
}

func (lines) sends() bool { return true }
func (lines) close()      {}

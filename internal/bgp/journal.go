//go:build linux

package bgp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// journal takes GoBGP's log: what happened to a neighbour is told there and
// nowhere else. It keeps, per neighbour, what to say about it, and writes what an
// operator wants to read.
type journal struct {
	out io.Writer
	// curious says that there are sessions to explain: GoBGP then says why it cannot
	// connect, and much else.
	curious atomic.Bool
	silent  chan netip.Addr // neighbours whose hold time is over
	looks   chan struct{}   // bounds how many OPENs are waited for

	mu    sync.Mutex
	heard map[netip.Addr]heard
}

// heard is the last thing that was heard about a neighbour's session.
type heard struct {
	why     string
	at      time.Time
	last    string // why the last established session ended
	fault   string // what was wrong with its last message, for the notification about it
	refused bool   // it, or we, refused an OPEN (RFC 4271, 6.2)
	as      uint32 // that it said last; 0: unknown
}

func newJournal(out io.Writer) *journal {
	j := &journal{out: out, silent: make(chan netip.Addr, 1024), looks: make(chan struct{}, maxLooks), heard: map[netip.Addr]heard{}}
	j.curious.Store(true)
	return j
}

// maxLooks is how many neighbours' OPENs are looked at at once.
const maxLooks = 8

// handler is the journal with what GoBGP says with every line of one of its loggers.
type handler struct {
	*journal
	with fields
}

// fields are what a line of GoBGP's log says besides its message.
type fields map[string]slog.Value

// logger is where GoBGP writes to.
func (j *journal) logger() *slog.Logger { return slog.New(handler{journal: j}) }

// Enabled is how much GoBGP says.
func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.curious.Load()
}

// WithAttrs is a handler for a part of GoBGP's, a neighbour for example.
func (h handler) WithAttrs(list []slog.Attr) slog.Handler {
	h.with = maps.Clone(h.with)
	if h.with == nil {
		h.with = fields{}
	}
	for _, a := range list {
		h.with[a.Key] = a.Value
	}
	return h
}

// WithGroup does nothing: GoBGP has no groups.
func (h handler) WithGroup(string) slog.Handler { return h }

// Handle takes a line.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo && !slices.Contains(curiosities, r.Message) {
		return nil // most of what is said to the curious, with whole messages
	}
	f := maps.Clone(h.with)
	if f == nil {
		f = fields{}
	}
	r.Attrs(func(a slog.Attr) bool { f[a.Key] = a.Value; return true })
	addr, ok := neighborOf(f)
	switch {
	case ok && r.Level < slog.LevelWarn:
		h.info(addr, r.Message, f)
	case ok && r.Level == slog.LevelWarn:
		h.warn(addr, r.Message, f)
	case r.Level >= slog.LevelWarn:
		h.print("%s: %v", r.Message, f)
	}
	return nil
}

// curiosities are the messages for the curious that are heard.
var curiosities = []string{"failed to connect", opensOut, opensIn}

// What GoBGP says when a connection stands and the neighbour's OPEN is still to be read,
// of one that it made, and of one that it took; the latter also when the OPEN was read.
const (
	opensOut = "outgoing connection established"
	opensIn  = "state changed"
)

// warn hears the ends of sessions.
func (j *journal) warn(addr netip.Addr, msg string, f fields) {
	switch msg {
	case "hold timer expired":
		j.note(addr, "it was silent for the hold time")
		j.silent <- addr
	case "prefix limit reached", "Closed an accepted connection", "restart flag is not set":
	default:
		if err, ok := f["Error"]; ok {
			j.blame(addr, msg, err.String())
		}
	}
}

// info hears what comes up and goes down, and of connections that do not come about.
func (j *journal) info(addr netip.Addr, msg string, f fields) {
	switch msg {
	case "failed to connect":
		if why := unreachable(f["Error"].String()); why != "" {
			j.note(addr, why)
		}
	case opensOut:
		j.look(addr)
	case opensIn:
		switch f["new"].String() {
		case bgp.BGP_FSM_OPENSENT.String():
			j.look(addr)
		case bgp.BGP_FSM_OPENCONFIRM.String():
			j.lookForRefusal(addr)
		}
	case "received notification":
		j.refuse(addr, "it ended the session: ", notification(f, false), f)
	case "sent notification":
		j.refuse(addr, "we ended the session: ", notification(f, true), f)
	case "Administrative shutdown(Prefix limit reached)", "Peer Up", "Peer Down":
		j.turn(addr, msg, f["Reason"].String())
	}
}

// look finds out what AS a neighbour says, before GoBGP does: of a wrong one that tells
// only that it is (v4.8.0, handleOpen).
func (j *journal) look(addr netip.Addr) {
	select {
	case j.looks <- struct{}{}:
		defer func() { <-j.looks }()
	default: // each takes a thread
		return
	}
	if as := claimed(addr); as != 0 {
		j.mu.Lock()
		defer j.mu.Unlock()
		h := j.heard[addr]
		h.as = as
		j.heard[addr] = h
	}
}

// lookForRefusal finds out whether a neighbour answers our OPEN with a NOTIFICATION, before
// GoBGP does: that says nothing of it (v4.8.0, openconfirm).
func (j *journal) lookForRefusal(addr netip.Addr) {
	select {
	case j.looks <- struct{}{}:
		defer func() { <-j.looks }()
	default:
		return
	}
	for _, b := range unread(addr) {
		if code, sub, ok := notified(b); ok {
			j.mu.Lock()
			h := j.heard[addr]
			h.why, h.at = "it ended the session: "+explain(code, sub, "", false), time.Now()
			h.refused = code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
			j.heard[addr] = h
			j.mu.Unlock()
		}
	}
}

// turn hears that a session came up or went down.
func (j *journal) turn(addr netip.Addr, msg, word string) {
	if word == "dying" || word == "unknown" {
		return // we removed it ourselves
	}
	j.mu.Lock()
	h := j.heard[addr]
	switch {
	case msg == "Peer Up":
		h.why, h.refused = "", false
	case msg == "Peer Down" && time.Since(h.at) > time.Second:
		// What came just before, a notification for example, says more.
		h.why, h.at = reason(word), time.Now()
		fallthrough
	case msg == "Peer Down":
		h.last = h.why
	}
	j.heard[addr] = h
	j.mu.Unlock()
	if h.why == "" {
		j.print("neighbor %s: up", addr)
	} else {
		j.print("neighbor %s: down, %s", addr, h.why)
	}
}

func (j *journal) note(addr netip.Addr, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.why, h.at = why, time.Now()
	j.heard[addr] = h
}

// ended notes why we end a neighbour's session.
func (j *journal) ended(addr netip.Addr, why string) {
	j.note(addr, why)
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.last = why
	j.heard[addr] = h
}

// blame notes what a neighbour did that ends its session, or costs it a route.
func (j *journal) blame(addr netip.Addr, msg, fault string) {
	j.note(addr, msg+": "+fault)
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.fault = fault
	j.heard[addr] = h
}

// refuse notes a notification; one about an OPEN will come again and again. Ours says
// what was wrong in a line before it.
func (j *journal) refuse(addr netip.Addr, who, what string, f fields) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	if h.fault != "" && time.Since(h.at) < time.Second {
		what += " (" + h.fault + ")"
	}
	h.why, h.fault, h.at = who+what, "", time.Now()
	h.refused = number(f["Code"]) == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
	j.heard[addr] = h
}

// about is what was heard about addr last.
func (j *journal) about(addr netip.Addr) heard {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.heard[addr]
}

// forget is for a neighbour that goes.
func (j *journal) forget(addr netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.heard, addr)
}

func (j *journal) print(format string, args ...any) { fmt.Fprintf(j.out, format+"\n", args...) }

func neighborOf(f fields) (netip.Addr, bool) {
	key, ok := f["Key"]
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(key.String())
	return addr, err == nil
}

// unreachable says why no TCP connection came about. GoBGP tells the text of the
// error alone: "dial tcp A->B: connect: connection refused".
func unreachable(text string) string {
	root := text[strings.LastIndex(text, ": ")+1:]
	root = strings.TrimSpace(root)
	switch root {
	case syscall.ECONNREFUSED.Error():
		return noBGP
	case syscall.EHOSTUNREACH.Error(), syscall.ENETUNREACH.Error():
		return "there is no way to it (" + root + ")"
	case syscall.EADDRNOTAVAIL.Error():
		return "this server has not the address that the session is from"
	case syscall.ETIMEDOUT.Error(), os.ErrDeadlineExceeded.Error():
		return noAnswer
	}
	return "no connection: " + root
}

const (
	noBGP     = "nothing takes BGP connections there (TCP port 179: connection refused)"
	noAnswer  = "no answer on TCP port 179"
	badPeerAS = "Bad Peer AS: it says another AS than the expected one"
)

// notification puts one that GoBGP logged into words; sent says that it was ours.
func notification(f fields, sent bool) string {
	said := ""
	if v, ok := f["Communicated-Reason"]; ok {
		said = v.String()
	}
	return explain(number(f["Code"]), number(f["Subcode"]), said, sent)
}

// number is a field that GoBGP logged as one; 0 if it is none.
func number(v slog.Value) uint8 {
	if v.Kind() != slog.KindInt64 {
		return 0
	}
	return uint8(v.Int64()) //nolint:gosec // a byte of the message
}

// explain is a NOTIFICATION (RFC 4271, 4.5; RFC 4486) in words; said is what came
// along with it, and sent that it was ours.
func explain(code, sub uint8, said string, sent bool) string {
	text := bgp.NewNotificationErrorCode(code, sub).String()
	switch {
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_PEER_AS && sent:
		text = badPeerAS
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_PEER_AS:
		text = "Bad Peer AS: it expects another AS than the one of this server"
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER:
		text = "Bad BGP Identifier: both sides have the same router id, or that of one is 0.0.0.0"
	case code == bgp.BGP_ERROR_HOLD_TIMER_EXPIRED:
		text = "Hold Timer Expired: for the hold time one side heard nothing of the other"
	case code == bgp.BGP_ERROR_CEASE && sub == bgp.BGP_ERROR_SUB_MAXIMUM_NUMBER_OF_PREFIXES_REACHED:
		text = "Maximum Number of Prefixes Reached"
	case code == bgp.BGP_ERROR_CEASE && sub == bgp.BGP_ERROR_SUB_PEER_DECONFIGURED:
		text = "Peer De-configured: the other side does not have this neighbor any more"
	case code == bgp.BGP_ERROR_CEASE && sub == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN:
		text = "Administrative Shutdown"
	}
	if said != "" {
		text += " (" + said + ")"
	}
	return text
}

// reason puts GoBGP's word for the end of a session into ours.
func reason(word string) string {
	switch word {
	case "read-failed", "write-failed", "graceful-restart":
		return "the connection was closed without a word: it restarts, or its machine did"
	case "hold-timer-expired":
		return "it was silent for the hold time"
	case "admin-down":
		return "it was shut down here"
	}
	return word
}

// restore brings back what was heard about a neighbour that was removed to be added
// again.
func (j *journal) restore(addr netip.Addr, h heard) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard[addr] = h
}

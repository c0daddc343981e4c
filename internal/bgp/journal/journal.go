//go:build linux

package journal

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

// Journal reads GoBGP's log, the only place where GoBGP says what happened to a
// neighbour. It keeps, per neighbour, what to report about it, and writes the lines that
// an operator wants to read.
type Journal struct {
	// Silent are neighbours whose hold time is over.
	Silent chan netip.Addr

	out io.Writer
	// curious says that there are sessions to explain: GoBGP then logs why it cannot
	// connect, and much more.
	curious atomic.Bool
	unread  func(netip.Addr) [][]byte
	looks   chan struct{} // bounds how many OPENs are awaited at once

	mu    sync.Mutex
	heard map[netip.Addr]Heard
}

// Heard is what was last learned about a neighbour's session.
type Heard struct {
	Why     string // it is down, or "" while it is up
	Last    string // why the last established session ended
	Refused bool   // one side refused the OPEN of the other (RFC 4271, 6.2)
	AS      uint32 // the one in its last OPEN; 0: unknown

	at     time.Time // when Why was learned
	fault  string    // what was wrong with its last message, for the notification about it
	noOpen bool      // its first message was a NOTIFICATION, and GoBGP is still to say that this is no OPEN
}

// New is a journal that writes to out. Unread is what a neighbour sent over its new
// connections and GoBGP has not read yet; it may wait for it.
func New(out io.Writer, unread func(neighbor netip.Addr) [][]byte) *Journal {
	j := &Journal{out: out, unread: unread, Silent: make(chan netip.Addr, 1024), looks: make(chan struct{}, maxLooks), heard: map[netip.Addr]Heard{}}
	j.curious.Store(true)
	return j
}

// Explains says whether there are sessions to explain. There are until it says otherwise.
func (j *Journal) Explains(sessions bool) { j.curious.Store(sessions) }

// maxLooks is how many neighbours' OPENs are read at once.
const maxLooks = 8

// handler is the journal, with the fields that one of GoBGP's loggers adds to each line.
type handler struct {
	*Journal
	with fields
}

// fields are what a line of GoBGP's log has besides its message.
type fields map[string]slog.Value

// Logger is the logger that GoBGP gets.
func (j *Journal) Logger() *slog.Logger { return slog.New(handler{Journal: j}) }

// Enabled says which levels GoBGP is to log.
func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.curious.Load()
}

// WithAttrs returns a handler for one part of GoBGP, a neighbour for example.
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

// Handle reads one line of the log.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo && !slices.Contains(curiosities, r.Message) {
		return nil // most debug lines, which hold whole messages
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
		h.Print("%s: %v", r.Message, f)
	}
	return nil
}

// curiosities are the debug messages that are read.
var curiosities = []string{"failed to connect", opensOut, opensIn}

// GoBGP's messages when a connection is made and the neighbour's OPEN is still to be
// read: for a connection that GoBGP made, and for one that it accepted. The latter also
// comes when the OPEN was read.
const (
	opensOut = "outgoing connection established"
	opensIn  = "state changed"
)

// warn reads warnings: the ends of sessions.
func (j *Journal) warn(addr netip.Addr, msg string, f fields) {
	switch msg {
	case "hold timer expired":
		j.note(addr, "it was silent for the hold time")
		j.Silent <- addr
	case "prefix limit reached", "Closed an accepted connection", "restart flag is not set":
	default:
		if err, ok := f["Error"]; ok {
			j.blame(addr, msg, err.String())
		}
	}
}

// info reads what comes up and goes down, and which connections fail.
func (j *Journal) info(addr netip.Addr, msg string, f fields) {
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
		if number(f["Code"]) == bgp.BGP_ERROR_CEASE && number(f["Subcode"]) == bgp.BGP_ERROR_SUB_PEER_DECONFIGURED {
			return // whoever removed it said why
		}
		j.refuse(addr, WeEnded, notification(f, true), f)
	case "Administrative shutdown(Prefix limit reached)", "Peer Up", "Peer Down":
		j.turn(addr, msg, f["Reason"].String())
	}
}

// turn notes that a session came up or went down.
func (j *Journal) turn(addr netip.Addr, msg, word string) {
	if word == "dying" || word == "unknown" {
		return // we removed it ourselves
	}
	j.mu.Lock()
	h := j.heard[addr]
	switch {
	case msg == "Peer Up":
		h.Why, h.Refused = "", false
	case msg == "Peer Down" && time.Since(h.at) > time.Second:
		// The line before, a notification for example, says more.
		h.Why, h.at = reason(word), time.Now()
		fallthrough
	case msg == "Peer Down":
		h.Last = h.Why
	}
	j.heard[addr] = h
	j.mu.Unlock()
	if h.Why == "" {
		j.Print("neighbor %s: up", addr)
	} else {
		j.Print("neighbor %s: down, %s", addr, h.Why)
	}
}

func (j *Journal) note(addr netip.Addr, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.Why, h.at = why, time.Now()
	j.heard[addr] = h
}

// Ended notes why this server ends a neighbour's session.
func (j *Journal) Ended(addr netip.Addr, why string) {
	j.note(addr, why)
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.Last = why
	j.heard[addr] = h
}

// blame notes an error of a neighbour that ends its session or drops a route.
func (j *Journal) blame(addr netip.Addr, msg, fault string) {
	j.note(addr, msg+": "+fault)
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.fault = fault
	j.heard[addr] = h
}

// refuse notes a NOTIFICATION about an OPEN, which will repeat. For one that this server
// sent, the line before has the reason.
func (j *Journal) refuse(addr netip.Addr, who, what string, f fields) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	if h.noOpen && what == Unexpected {
		h.noOpen = false
		j.heard[addr] = h
		return
	}
	if h.fault != "" && time.Since(h.at) < time.Second {
		what += " (" + h.fault + ")"
	}
	h.Why, h.fault, h.at = who+what, "", time.Now()
	h.Refused = number(f["Code"]) == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
	j.heard[addr] = h
}

// About is what was last learned about addr.
func (j *Journal) About(addr netip.Addr) Heard {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.heard[addr]
}

// Forget drops what is known of a neighbour that was removed.
func (j *Journal) Forget(addr netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.heard, addr)
}

// Print writes a line to the daemon's own log.
func (j *Journal) Print(format string, args ...any) { fmt.Fprintf(j.out, format+"\n", args...) }

func neighborOf(f fields) (netip.Addr, bool) {
	key, ok := f["Key"]
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(key.String())
	return addr, err == nil
}

// unreachable says why a TCP connection failed. GoBGP logs only the text of the error:
// "dial tcp A->B: connect: connection refused".
func unreachable(text string) string {
	root := text[strings.LastIndex(text, ": ")+1:]
	root = strings.TrimSpace(root)
	switch root {
	case syscall.ECONNREFUSED.Error():
		return NoBGP
	case syscall.EHOSTUNREACH.Error(), syscall.ENETUNREACH.Error():
		return "there is no way to it (" + root + ")"
	case syscall.EADDRNOTAVAIL.Error():
		return "this server has not the address that the session is from"
	case syscall.ETIMEDOUT.Error(), os.ErrDeadlineExceeded.Error():
		return NoAnswer
	}
	return "no connection: " + root
}

// Why a session is down, where who tells it knows more.
const (
	NoBGP     = "nothing takes BGP connections there (TCP port 179: connection refused)"
	NoAnswer  = "no answer on TCP port 179"
	BadPeerAS = "Bad Peer AS: it says another AS than the expected one"
)

// WeEnded begins why a session is down that this server ended.
const WeEnded = "we ended the session: "

// Unexpected describes what GoBGP sends a neighbour whose first message is no OPEN.
var Unexpected = Explain(bgp.BGP_ERROR_FSM_ERROR, bgp.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_OPENSENT_STATE, "", true)

// notification describes a NOTIFICATION that GoBGP logged; sent says that this server
// sent it.
func notification(f fields, sent bool) string {
	said := ""
	if v, ok := f["Communicated-Reason"]; ok {
		said = v.String()
	}
	return Explain(number(f["Code"]), number(f["Subcode"]), said, sent)
}

// number is a numeric field of GoBGP's log; 0 if it is no number.
func number(v slog.Value) uint8 {
	if v.Kind() != slog.KindInt64 {
		return 0
	}
	return uint8(v.Int64()) //nolint:gosec // a byte of the message
}

// Explain describes a NOTIFICATION (RFC 4271, 4.5; RFC 4486); said is the text that came
// with it, sent says that this server sent it.
func Explain(code, sub uint8, said string, sent bool) string {
	text := bgp.NewNotificationErrorCode(code, sub).String()
	switch {
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_PEER_AS && sent:
		text = BadPeerAS
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

// reason translates GoBGP's word for the end of a session.
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

// Restore keeps what is known of a neighbour that is removed and added again.
func (j *Journal) Restore(addr netip.Addr, h Heard) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard[addr] = h
}

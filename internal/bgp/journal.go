//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
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

	mu    sync.Mutex
	heard map[netip.Addr]heard
}

// heard is the last thing that was heard about a neighbour's session.
type heard struct {
	why     string
	at      time.Time
	last    string // why the last established session ended
	refused bool   // it, or we, refused an OPEN (RFC 4271, 6.2)
}

func newJournal(out io.Writer) *journal {
	j := &journal{out: out, silent: make(chan netip.Addr, 1024), heard: map[netip.Addr]heard{}}
	j.curious.Store(true)
	return j
}

// GetLevel is how much GoBGP says.
func (j *journal) GetLevel() log.LogLevel {
	if j.curious.Load() {
		return log.DebugLevel
	}
	return log.InfoLevel
}

// SetLevel does nothing: the journal knows what it wants.
func (j *journal) SetLevel(log.LogLevel) {}

// Panic and Fatal are bugs of GoBGP's: systemd starts the daemon anew, and the
// routes stay meanwhile.
func (j *journal) Panic(msg string, f log.Fields) { panic(fmt.Sprintf("%s %v", msg, f)) }

// Fatal ends the daemon.
func (j *journal) Fatal(msg string, f log.Fields) { panic(fmt.Sprintf("%s %v", msg, f)) }

// Error writes an error of GoBGP's.
func (j *journal) Error(msg string, f log.Fields) { j.print("%s: %v", msg, f) }

// Warn hears the ends of sessions.
func (j *journal) Warn(msg string, f log.Fields) {
	addr, ok := neighborOf(f)
	if !ok {
		j.print("%s: %v", msg, f)
		return
	}
	switch msg {
	case "hold timer expired":
		j.note(addr, "it was silent for the hold time")
		j.silent <- addr
	case "received notification":
		j.refuse(addr, "it ended the session: "+notification(f), f)
	case "sent notification":
		j.refuse(addr, "we ended the session: "+notification(f), f)
	case "prefix limit reached", "Closed an accepted connection", "restart flag is not set":
	default:
		if err, ok := f["Error"]; ok {
			j.note(addr, fmt.Sprintf("%s: %v", msg, err))
		}
	}
}

// Info hears what comes up and goes down.
func (j *journal) Info(msg string, f log.Fields) {
	switch msg {
	case "Administrative shutdown(Prefix limit reached)", "Peer Up", "Peer Down":
	default:
		return
	}
	addr, ok := neighborOf(f)
	if word := fmt.Sprint(f["Reason"]); !ok || word == "dying" || word == "deconfigured" {
		return // we removed it ourselves
	}
	j.mu.Lock()
	h := j.heard[addr]
	switch {
	case msg == "Peer Up":
		h.why, h.refused = "", false
	case msg == "Peer Down" && time.Since(h.at) > time.Second:
		// What came just before, a notification for example, says more.
		h.why, h.at = reason(fmt.Sprint(f["Reason"])), time.Now()
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

// Debug hears of connections that do not come about.
func (j *journal) Debug(msg string, f log.Fields) {
	if msg != "failed to connect" {
		return
	}
	if addr, ok := neighborOf(f); ok {
		if err, ok := f["Error"].(error); ok {
			j.note(addr, unreachable(err))
		}
	}
}

func (j *journal) note(addr netip.Addr, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.why, h.at = why, time.Now()
	j.heard[addr] = h
}

// refuse notes a notification; one about an OPEN will come again and again.
func (j *journal) refuse(addr netip.Addr, why string, f log.Fields) {
	j.note(addr, why)
	code, _ := f["Code"].(uint8)
	if e, ok := f["Data"].(*bgp.MessageError); ok {
		code = e.TypeCode
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.heard[addr]
	h.refused = code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR
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

func neighborOf(f log.Fields) (netip.Addr, bool) {
	key, _ := f["Key"].(string)
	addr, err := netip.ParseAddr(key)
	return addr, err == nil
}

// unreachable says why no TCP connection came about.
func unreachable(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return noBGP
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to it (" + rootOf(err).Error() + ")"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this server has not the address that the session is from"
	case errors.As(err, &timeout) && timeout.Timeout():
		return noAnswer
	}
	return "no connection: " + rootOf(err).Error()
}

const (
	noBGP    = "nothing takes BGP connections there (TCP port 179: connection refused)"
	noAnswer = "no answer on TCP port 179"
)

// rootOf is the innermost error: what net wraps around it names addresses that
// stand beside it anyway.
func rootOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// notification puts one that GoBGP logged into words.
func notification(f log.Fields) string {
	if e, ok := f["Data"].(*bgp.MessageError); ok {
		return explain(e.TypeCode, e.SubTypeCode, e.Message)
	}
	code, _ := f["Code"].(uint8)
	sub, _ := f["Subcode"].(uint8)
	text, _ := f["Communicated-Reason"].(string)
	return explain(code, sub, text)
}

// explain is a NOTIFICATION (RFC 4271, 4.5; RFC 4486) in words; said is what came
// along with it.
func explain(code, sub uint8, said string) string {
	var expected, received uint32
	if _, err := fmt.Sscanf(said, "as number mismatch expected %d, received %d", &expected, &received); err == nil {
		return fmt.Sprintf("Bad Peer AS: it says AS %d, expected is AS %d", received, expected)
	}
	text := bgp.NewNotificationErrorCode(code, sub).String()
	switch {
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_PEER_AS:
		text = "Bad Peer AS: it expects another AS than the one of this server"
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && sub == bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER:
		text = "Bad BGP Identifier: both sides have the same router id"
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

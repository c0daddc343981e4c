//go:build linux

package journal

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

var neighbor = netip.MustParseAddr("192.0.2.2")

// journal returns one whose neighbours sent unread, its log, and the logger that GoBGP has
// for neighbor.
func journal(unread ...[]byte) (*Journal, *bytes.Buffer, *slog.Logger) {
	out := &bytes.Buffer{}
	j := New(out, func(netip.Addr) [][]byte { return unread })
	return j, out, j.Logger().With("Key", neighbor.String())
}

// What GoBGP logs of a session is told in words for an operator.
func TestWhyASessionIsDown(t *testing.T) {
	code := func(code, sub int) []any { return []any{"Code", code, "Subcode", sub} }
	for _, c := range []struct {
		says    func(*slog.Logger)
		want    string
		refused bool
	}{
		{func(l *slog.Logger) {
			l.Debug("failed to connect", "Error", errors.New("dial tcp a->b: connect: connection refused"))
		}, NoBGP, false},
		{func(l *slog.Logger) { l.Debug("failed to connect", "Error", errors.New("i/o timeout")) }, NoAnswer, false},
		{func(l *slog.Logger) { l.Warn("hold timer expired") }, "it was silent for the hold time", false},
		{func(l *slog.Logger) {
			l.Info("sent notification", code(bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_BAD_PEER_AS)...)
		}, WeEnded + BadPeerAS, true},
		{func(l *slog.Logger) {
			l.Info("received notification", code(bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_BAD_PEER_AS)...)
		}, "it ended the session: Bad Peer AS: it expects another AS than the one of this server", true},
		{func(l *slog.Logger) {
			l.Warn("malformed BGP message", "Error", errors.New("bad length"))
			l.Info("sent notification", code(bgp.BGP_ERROR_UPDATE_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_MALFORMED_ATTRIBUTE_LIST)...)
		}, "(bad length)", false},
	} {
		j, _, l := journal()
		c.says(l)
		if have := j.About(neighbor); !strings.Contains(have.Why, c.want) || have.Refused != c.refused {
			t.Errorf("want %q, refused %t, have %+v", c.want, c.refused, have)
		}
	}
}

// A session that comes up has no reason any more, but the one of its last end stays.
func TestSessionComesBack(t *testing.T) {
	j, out, l := journal()
	l.Info("Peer Down", "Reason", "hold-timer-expired")
	l.Info("Peer Up")
	if have := j.About(neighbor); have.Why != "" || have.Last != "it was silent for the hold time" {
		t.Errorf("have %+v", have)
	}
	if want := "neighbor 192.0.2.2: down, it was silent for the hold time\nneighbor 192.0.2.2: up\n"; out.String() != want {
		t.Errorf("want %q, have %q", want, out)
	}
	j.Forget(neighbor)
	if have := j.About(neighbor); have != (Heard{}) {
		t.Errorf("forgotten: %+v", have)
	}
}

// GoBGP does not say which AS is wrong, and takes a refusal for a message like any other.
func TestFirstMessageIsReadBeforehand(t *testing.T) {
	write := func(m *bgp.BGPMessage) []byte {
		b, err := m.Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	open, err := bgp.NewBGPOpenMessage(bgp.AS_TRANS, 90, neighbor, []bgp.OptionParameterInterface{
		bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{bgp.NewCapFourOctetASNumber(70_000)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	j, _, l := journal(write(open))
	l.Debug(opensOut)
	if have := j.About(neighbor); have.AS != 70_000 {
		t.Errorf("have %+v", have)
	}
	j, _, l = journal(write(bgp.NewBGPNotificationMessage(bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_BAD_PEER_AS, nil)))
	l.Info(opensIn, "new", bgp.BGP_FSM_OPENCONFIRM.String())
	if have := j.About(neighbor); !have.Refused || !strings.HasPrefix(have.Why, "it ended the session: Bad Peer AS") {
		t.Errorf("have %+v", have)
	}
}

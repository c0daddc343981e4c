//go:build linux

package agent

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/fill"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// TestMessagesArePlain sends every field that a message can have.
func TestMessagesArePlain(t *testing.T) {
	for _, message := range []any{&spec.Request{}, &spec.Reply{}, &map[string]host.SettingNote{}} {
		fill.All(t, message, "a <b> \"c\" é\n", spec.NewAddrSet(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::2")))
		want, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		have, err := wire.Marshal(message)
		if err != nil || string(have) != string(want) {
			t.Errorf("%T: %v\nwant %s\nhave %s", message, err, want, have)
		}
		back := reflect.New(reflect.TypeOf(message).Elem())
		if err := wire.Unmarshal(want, back.Interface()); err != nil {
			t.Errorf("%T: %v", message, err)
		}
		if again, err := json.Marshal(back.Interface()); err != nil || string(again) != string(want) {
			t.Errorf("%T: %v\nwant %s\nhave %s", message, err, want, again)
		}
	}
}

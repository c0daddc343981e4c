package wire

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Addr   netip.Addr
	Prefix netip.Prefix `json:",omitzero"`
	At     time.Time    `json:",omitzero"`
}

type plain struct {
	Text   string
	Empty  string            `json:",omitempty"`
	Number int               `json:",omitempty"`
	Small  uint8             `json:",omitempty"`
	Wait   time.Duration     `json:",omitempty"`
	Yes    bool              `json:",omitempty"`
	List   []inner           `json:",omitempty"`
	Told   []string          // null, [] and what is in it
	Deep   [][]netip.Prefix  `json:",omitempty"`
	Words  map[string]string `json:",omitempty"`
	Tree   map[string]inner  `json:",omitempty"`
	Next   *plain            `json:",omitempty"`
	Own    *own
	hidden int
}

// own has a form of its own.
type own struct{ n int }

func (o *own) MarshalJSON() ([]byte, error)    { return json.Marshal([]int{o.n, o.n}) }
func (o *own) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &[]any{&o.n}) }

var samples = []plain{
	{},
	{Told: []string{}},
	{Text: "quotes \" and \\, <tags>, \x01, é, \xff, \u2028", Told: []string{"", "x"}},
	{
		Text: "all", Empty: "no", Number: -7, Small: 255, Wait: time.Second, Yes: true,
		List: []inner{
			{Addr: netip.MustParseAddr("10.0.0.1"), Prefix: netip.MustParsePrefix("fd00::1/64")},
			{At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)},
		},
		Deep:  [][]netip.Prefix{nil, {netip.MustParsePrefix("10.0.0.0/8")}},
		Words: map[string]string{"b": "2", "a\"": "1"},
		Tree:  map[string]inner{"x": {Addr: netip.MustParseAddr("::1")}},
		Next:  &plain{Text: "below", Own: &own{4}}, Own: &own{3}, hidden: 1,
	},
}

func TestJSONIsThatOfTheLibrary(t *testing.T) {
	for _, v := range samples {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		have, err := Marshal(v)
		if err != nil || string(have) != string(want) {
			t.Errorf("%v\nwant %s\nhave %s", err, want, have)
		}
		for _, text := range []string{string(want), strings.NewReplacer(",", " ,\n ", ":", " : ").Replace(string(want))} {
			var x, y plain
			errX, errY := json.Unmarshal([]byte(text), &x), Unmarshal([]byte(text), &y)
			if (errX == nil) != (errY == nil) || !reflect.DeepEqual(x, y) {
				t.Errorf("%s\nwant %+v, %v\nhave %+v, %v", text, x, errX, y, errY)
			}
		}
	}
}

func TestJSONSkipsWhatItDoesNotKnow(t *testing.T) {
	text := `{"New":{"a":[1,{"b":"]}"}],"c":null},"Text":"x","Other":-1.5e3,"Told":null,"Number":3,"Text":"y"}`
	have := plain{Told: []string{"gone"}}
	if err := Unmarshal([]byte(text), &have); err != nil || have.Text != "y" || have.Number != 3 || have.Told != nil {
		t.Errorf("%+v, %v", have, err)
	}
}

func TestJSONThatIsNone(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}x`, `{} {}`, `{"Text"}`, `{"Text":}`, `{"Text":"x"`, `{"Text":"x",}`, `{"Text":x}`, `{"Text":1}`, `{"Text":"\q"}`,
		`{"Number":01}`, `{"Number":1.5}`, `{"Number":1e3}`, `{"Number":-}`, `{"Number":"1"}`, `{"Number":99999999999999999999}`,
		`{"Small":256}`, `{"Small":-1}`, `{"Yes":1}`, `{"Told":{}}`, `{"Told":["x"}`, `{"Told":["x",]}`, `{"List":[{"Addr":"x"}]}`,
		`{"Own":[}`, `{"New":[1,}`, `{"New":}`, `{"New":"`, `[]`, `nul`,
	} {
		var x, y plain
		if err := Unmarshal([]byte(text), &y); err == nil {
			t.Errorf("%s: want an error as %v", text, json.Unmarshal([]byte(text), &x))
		}
	}
	for _, bad := range []any{struct{ F float64 }{1}, struct{ plain }{}, []byte("x"), map[int]string{1: "x"}, make(chan int)} {
		if text, err := Marshal(bad); err == nil {
			t.Errorf("%T: want an error, have %s", bad, text)
		}
	}
	for _, bad := range []any{nil, plain{}, (*plain)(nil)} {
		if Unmarshal([]byte("{}"), bad) == nil {
			t.Errorf("%T: want an error", bad)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, v := range samples {
		text, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"New":[1,{"b":"]}"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var have, want plain
		if Unmarshal(text, &have) != nil {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Errorf("%q: taken, though %v", text, err)
		}
	})
}

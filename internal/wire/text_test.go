package wire

import (
	"encoding/json"
	"reflect"
	"testing"
)

// texts are what strings may be, and what looks like a string and is none.
var texts = []string{
	`""`, `"a"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000\u001f\u007f"`, `"\u00e9\u00E9é"`, `"\ufffd` + "\ufffd" + `"`,
	`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\n"`,
	`"\`, `"\"`, `"\u`, `"\u12`, `"\u12"`, `"\u123"`, `"\u12g4"`, `"\u+123"`, `"\u 123"`, `"\x41"`, `"\'"`, `"\`, `"`,
	"\"a\nb\"", "\"\x00\"", "\"\x7f\"",
}

// values are numbers and others, and what looks like them.
var values = []string{
	`0`, `-0`, `1`, `-12`, `1.5`, `0.0e+1`, `1E9`, `1e-9`, `01`, `-01`, `00`, `-`, `+1`, `.5`, `1.`, `1.e1`, `1e`, `1e+`, `1-2`, `0x1`, `1 2`,
	`null`, `nul`, `nulls`, `true`, `truefalse`, `false`, `[]`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[}`, `{]`, `{}`, `{ }`, `{,}`, `{"a"}`,
	`{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a":[{"b":[null,{}]}]}`, `{1:2}`, `{"\q":1}`, `:`, `,`,
}

// Strings are read and written as the library does, and what is skipped is JSON.
func TestTextIsThatOfTheLibrary(t *testing.T) {
	for _, text := range texts {
		var want, have string
		wantErr, haveErr := json.Unmarshal([]byte(text), &want), Unmarshal([]byte(text), &have)
		if (wantErr == nil) != (haveErr == nil) || wantErr == nil && have != want {
			t.Errorf("%q: want %q, %v, have %q, %v", text, want, wantErr, have, haveErr)
		}
		for _, s := range []string{have, text, "\xff" + text} {
			want, err := json.Marshal(s)
			if have := appendString(nil, s); err != nil || string(have) != string(want) {
				t.Errorf("%q: want %s, have %s, %v", s, want, have, err)
			}
		}
	}
	for _, text := range append(values, texts...) {
		for _, in := range []string{`{"Other":` + text + `}`, `{"Other":[0,` + text + ` ,{"x": ` + text + "}\t]}"} {
			want, have := json.Unmarshal([]byte(in), &plain{}), Unmarshal([]byte(in), &plain{})
			if (want == nil) != (have == nil) {
				t.Errorf("%s: want %v, have %v", in, want, have)
			}
		}
	}
}

// Files of others have names of their own.
func TestNamesInTags(t *testing.T) {
	type named struct {
		Root  string `json:"data-root"`
		Base  int    `json:"base,omitempty"`
		Other string `xml:"x" json:"other,omitzero"`
		Plain string `xml:"y"`
	}
	for _, v := range []named{{}, {Root: "/", Base: 1, Other: "o", Plain: "p"}} {
		want, err := json.Marshal(v)
		have, err2 := Marshal(v)
		if err != nil || err2 != nil || string(have) != string(want) {
			t.Errorf("want %s, %v, have %s, %v", want, err, have, err2)
		}
		var again named
		if err := Unmarshal(have, &again); err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("want %+v, have %+v, %v", v, again, err)
		}
	}
	var v named
	if err := Unmarshal([]byte(`{"Root":"no","Base":1,"base":2}`), &v); err != nil || v.Root != "" || v.Base != 2 {
		t.Errorf("have %+v, %v", v, err)
	}
}

func FuzzText(f *testing.F) {
	for _, text := range append(values, texts...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := json.Marshal(text)
		if have := appendString(nil, text); err != nil || string(have) != string(want) {
			t.Errorf("%q: want %s, have %s, %v", text, want, have, err)
		}
		var again, library string
		if err := Unmarshal(want, &again); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if err := json.Unmarshal(want, &library); err != nil || again != library {
			t.Errorf("%s: want %q, %v, have %q", want, library, err, again)
		}
		skipped := []byte(`{"Other":[` + text + `]}`)
		if err := Unmarshal(skipped, &plain{}); err == nil && !json.Valid(skipped) {
			t.Errorf("%s: taken", skipped)
		}
	})
}

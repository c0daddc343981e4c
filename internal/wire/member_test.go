package wire

import (
	"encoding/json"
	"testing"
)

// TestMembers: a member comes and goes, and all else stays to the byte.
func TestMembers(t *testing.T) {
	for text, with := range map[string]string{
		`{"debug": true, "hosts": ["a,}"]}` + "\n": `{"debug": true, "hosts": ["a,}"],"bip": 7}` + "\n",
		"{}\n":        `{"bip": 7}` + "\n",
		" { } ":       ` {"bip": 7 } `,
		`{"a":"\"}"}`: `{"a":"\"}","bip": 7}`,
		"{\n  \"a\": {\"bip\": 1},\n  \"b\": \"x\"\n}\n":                "{\n  \"a\": {\"bip\": 1},\n  \"b\": \"x\",\n  \"bip\": 7\n}\n",
		"{\n\t\"a\": [{\"bip\": 1}, [\"bip\"], null, -1.5e3, false]\n}": "{\n\t\"a\": [{\"bip\": 1}, [\"bip\"], null, -1.5e3, false],\n\t\"bip\": 7\n}",
	} {
		now, err := WithMember(text, "bip", "7")
		if err != nil || now != with {
			t.Errorf("%q: %q, %v, want %q", text, now, err, with)
		}
		if !json.Valid([]byte(now)) {
			t.Errorf("%q is no JSON", now)
		}
		if value, err := Member(now, "bip"); value != "7" || err != nil {
			t.Errorf("%q: the member is %q, %v", now, value, err)
		}
		if back, err := WithMember(now, "bip", ""); back != text || err != nil {
			t.Errorf("back: %q, %v, was %q", back, err, text)
		}
		if same, err := WithMember(text, "bip", ""); same != text || err != nil {
			t.Errorf("without what it has not: %q, %v", same, err)
		}
	}
}

// TestMembersThatAreThere are replaced where they stand, or taken out.
func TestMembersThatAreThere(t *testing.T) {
	for text, want := range map[string][3]string{ // the value, replaced, without it
		`{"bip" : "x" , "b":1}`:              {`"x"`, `{"bip" : 7 , "b":1}`, `{ "b":1}`},
		`{"a":1,"bip":{"c":[1,2]} }`:         {`{"c":[1,2]}`, `{"a":1,"bip":7 }`, `{"a":1 }`},
		"{\"a\":1,\n \"bip\": 2,\n \"b\":3}": {"2", "{\"a\":1,\n \"bip\": 7,\n \"b\":3}", "{\"a\":1,\n \"b\":3}"},
		`{"bip":1}`:                          {"1", `{"bip":7}`, `{}`},
		`{"bip":1,"a":0,"bip":2}`:            {"2", `{"bip":1,"a":0,"bip":7}`, `{"bip":1,"a":0}`},
		`{"b\u0069p":1}`:                     {"1", `{"b\u0069p":7}`, `{}`},
	} {
		value, err := Member(text, "bip")
		if value != want[0] || err != nil {
			t.Errorf("%q: the member is %q, %v", text, value, err)
		}
		if now, err := WithMember(text, "bip", "7"); now != want[1] || err != nil {
			t.Errorf("%q replaced: %q, %v", text, now, err)
		}
		if now, err := WithMember(text, "bip", ""); now != want[2] || err != nil {
			t.Errorf("%q without: %q, %v", text, now, err)
		}
	}
}

// TestMembersOfNoObject: what is not understood is not written.
func TestMembersOfNoObject(t *testing.T) {
	for _, text := range []string{"", "[]", `{"a": {`, `{"bip\`, `{"a":1,}`, `{"a":1} x`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":}`, "{}\x00", `{'a':1}`} {
		if now, err := WithMember(text, "bip", "7"); err == nil {
			t.Errorf("%q became %q", text, now)
		}
	}
}

// FuzzMembers: what is an object for us is one for encoding/json, also with a member more.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a": [1, {"b": null}], "bip": "x"}`)
	f.Add(" {\n} ")
	f.Fuzz(func(t *testing.T, text string) {
		now, err := WithMember(text, "bip", `"1.2.3.4/5"`)
		if err != nil {
			return
		}
		var was, is map[string]any
		if err := json.Unmarshal([]byte(text), &was); err != nil {
			return // what a number or a text may be is checked where it is read
		}
		if err := json.Unmarshal([]byte(now), &is); err != nil || is["bip"] != "1.2.3.4/5" {
			t.Fatalf("%q became %q: %v", text, now, err)
		}
	})
}

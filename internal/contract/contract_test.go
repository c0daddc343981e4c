package contract

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	type doc struct {
		Name string `json:"name,omitempty"`
	}
	problem := ProblemOf(hint.Errorf("here", "there", "a > b"), Failed)
	for _, test := range []struct {
		doc  any
		p    *Problem
		want string
	}{
		{doc{"x<y"}, nil, "{\n  \"format\": 1,\n  \"name\": \"x<y\"\n}\n"},
		{doc{}, nil, "{\n  \"format\": 1\n}\n"},
		{doc{"x"}, &Problem{Code: Failed, What: "no"}, "{\n  \"format\": 1,\n  \"name\": \"x\",\n  \"error\": {\n    \"code\": \"failed\",\n    \"what\": \"no\"\n  }\n}\n"},
		{nil, problem, `{"format":1,"error":{"code":"failed","what":"a > b","where":"here","next":"there"}}` + "\n"},
	} {
		var out strings.Builder
		if err := Write(&out, test.doc, test.p); err != nil || out.String() != test.want {
			t.Errorf("%v: %v, %s", test.doc, err, out.String())
		}
	}
	var out strings.Builder
	if err := WriteLine(&out, doc{"x"}); err != nil || out.String() != `{"format":1,"name":"x"}`+"\n" {
		t.Error(err, out.String())
	}
	if err := WriteLine(&out, doc{}); err != nil || !strings.HasSuffix(out.String(), "{\"format\":1}\n") {
		t.Error(err, out.String())
	}
	for _, bad := range []any{[]int{1}, 5, func() {}} {
		if err := Write(&out, bad, nil); err == nil {
			t.Errorf("%v is written as a document", bad)
		}
	}
}

// What was said of an error goes before what its cause is, and a cause before what the caller has
// for errors that say nothing.
func TestOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[Code]error{
		Partial:        errors.New("no"),
		NotFound:       fmt.Errorf("x: %w", hint.Unknown("server", "s1", "")),
		Interrupted:    With(remote.ErrUnreachable, Interrupted),
		NewerFormat:    errors.Join(state.ErrMalformed, state.ErrNewer),
		BadFile:        fmt.Errorf("x: %w", state.ErrMalformed),
		Refused:        errors.Join(errors.New("a"), change.ErrRefused),
		HostKeyChanged: fmt.Errorf("%w: %w", remote.ErrUnreachable, remote.ErrHostKeyChanged),
	} {
		if have := Of(err, Partial); have != want {
			t.Errorf("%v: want %s, have %s", err, want, have)
		}
	}
}

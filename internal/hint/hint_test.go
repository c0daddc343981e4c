package hint

import (
	"errors"
	"fmt"
	"testing"
)

func TestInnermostAdviceWins(t *testing.T) {
	inner := With(errors.New("no route"), "server s1", "ip route")
	err := fmt.Errorf("add s1: %w", With(inner, "network vx1", "flock status"))
	where, next := Of(err)
	if where != "server s1" || next != "ip route" {
		t.Fatalf("Of = %q, %q", where, next)
	}
	want := "flock: add s1: no route\nwhere: server s1\nnext:  ip route\n"
	if got := Text("flock", err); got != want {
		t.Fatalf("Text = %q, want %q", got, want)
	}
}

func TestOuterFillsWhatInnerLeavesOpen(t *testing.T) {
	err := With(Errorf("", "retry", "x %d", 1), "here", "")
	where, next := Of(err)
	if where != "here" || next != "retry" {
		t.Fatalf("Of = %q, %q", where, next)
	}
}

func TestNilStaysNil(t *testing.T) {
	if With(nil, "a", "b") != nil {
		t.Fatal("With(nil) is not nil")
	}
}

func TestPinnedPlaceWins(t *testing.T) {
	inner := Errorf("server s1", "flock addserver s1", "unknown server s1")
	err := With(fmt.Errorf("edit: %w", Pin(inner, "network n1, members")), "elsewhere", "")
	if where, next := Of(err); where != "network n1, members" || next != "flock addserver s1" {
		t.Errorf("where %q, next %q", where, next)
	}
	err = Reword(err, "flock apply")
	if where, next := Of(err); where != "network n1, members" || next != "flock apply" || Reword(nil, "x") != nil {
		t.Errorf("reworded: where %q, next %q", where, next)
	}
	if Pin(nil, "here") != nil {
		t.Error("Pin(nil) is not nil")
	}
}

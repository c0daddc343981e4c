package cli

import (
	"bytes"
	"errors"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
)

func TestProgress(t *testing.T) {
	events := func(p *command.Progress) {
		p.Show(change.Event{Server: "s1", Line: "connecting"})
		p.Show(change.Event{Server: "s2", Line: "connecting"})
		p.Note("waiting for somebody")
		p.Show(change.Event{Server: "s1", Done: true})
		p.Show(change.Event{Server: "s2", Done: true, Err: errors.New("lost")})
		p.Stop()
		p.Show(change.Event{Server: "s3", Line: "too late"})
	}
	for _, test := range []struct {
		name  string
		tty   bool
		quiet bool
		want  string
	}{
		{"pipe", false, false, "s1: connecting\ns2: connecting\nwaiting for somebody\n"},
		{"quiet", true, true, ""},
		{"terminal", true, false, "s1  connecting\n" +
			"\x1b[1A\x1b[Js1  connecting\ns2  connecting\n" +
			"\x1b[2A\x1b[Jwaiting for somebody\ns1  connecting\ns2  connecting\n" +
			"\x1b[2A\x1b[Js2  connecting\n1 of 2 servers are done\n" +
			"\x1b[2A\x1b[J"},
	} {
		var b bytes.Buffer
		a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Err: &b, ErrTTY: test.tty}, Getenv: func(string) string { return "" }}}}
		a.Quiet = test.quiet
		events(command.NewProgress(a.App))
		if b.String() != test.want {
			t.Errorf("%s: want\n%q\nhave\n%q", test.name, test.want, b.String())
		}
	}
}

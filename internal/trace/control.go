package trace

import (
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// controlled stops where traffic control of a device of a server, or of a container, drops the packet, and
// warns where it drops larger ones than the device takes.
func (w *walker) controlled(at End, l *link, out bool, p packet) bool {
	f := w.base(at.Server, at.Container)
	if f == nil {
		return false
	}
	if hooks := f.Control.Unread(l.Index, out); hooks != nil {
		n := Need{Server: at.Server, container: at.Container, filters: hooks}
		for _, h := range hooks {
			n.questions = append(n.questions, h.Question(w.t.endian(at.Server)))
		}
		w.lack(n)
		return false
	}
	fl := flow{packet: p, in: l}
	if out {
		fl = flow{packet: p, out: l}
	}
	o, most := f.Control.Pass(kernel.Device{Index: l.Index, Name: l.Name}, out, fl.seen(), w.t.size(p))
	switch {
	case o.Drops:
		object, _ := o.Object()
		w.fail(at.String(), object, command(at, o.List()), "it drops %s %s", fl.what(), o.How())
	case o.May:
		w.suspect = o
	case most > 0 && most < l.MTU:
		w.warn(at.String(), "qdisc of "+l.Name, command(at, []string{"tc", "-s", "qdisc", "show", "dev", l.Name}),
			"packets of more than %d bytes are dropped, %s takes %d", most, l.Name, l.MTU)
	}
	return !o.Drops
}

// command is one to be run on a server, or in a container by the server's own programs.
func command(at End, words []string) string {
	if at.Container == "" {
		return runOn(at.Server, words...)
	}
	return "on " + at.Server + ": " + ground.Inside(at.Container, words...)
}

// size are the bytes that the packet which is sent has at least, behind the header of its link.
func (t *Trace) size(p packet) int {
	if t.Protocol == protoTCP {
		return headerOf(p.dst) + tcpSize
	}
	return headerOf(p.dst) + echoSize
}

package remote

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// paths are directories on servers.
type paths struct {
	install string // those that hold VERSION/flock, with colons; "": spec.Places
	units   string // systemd units; a version that one of ours names is kept
}

func (p paths) places() []string {
	if p.install == "" {
		return spec.Places
	}
	return strings.Split(p.install, ":")
}

func (p paths) unitDir() string { return cmp.Or(p.units, "/etc/systemd/system") }

// dir is the directory of the agent's programs: where the server's are known to be, or the first.
func (c *Conn) dir() string {
	all := c.d.paths.places()
	if slices.Contains(all, c.target.Place) {
		return c.target.Place
	}
	return all[0]
}

// placed notes the directory in f, unless it is the first.
func (c *Conn) placed(f *spec.Facts) {
	if f == nil {
		return
	}
	if f.Place = c.dir(); f.Place == c.d.paths.places()[0] {
		f.Place = ""
	}
}

// slowLink is the round trip time from which the agent is sent compressed. Sending 19 MB
// to a server 0.1 ms away took 0.41 s uncompressed and 0.55 s with gzip; servers farther
// away rarely have the 300 Mbit/s at which both take the same time.
const slowLink = 5 * time.Millisecond

//go:embed install.sh
var installScript string

// probed is what a server without an agent answers.
type probed struct {
	arch  string // GOARCH
	gzip  bool
	place string // the first directory that takes a program
}

const probeMark = "flock-probe"

// probeScript tries which of the directories named in $places takes a program. After the first,
// which distributions keep, one counts only if nobody else can put a program there, or another
// directory in its place: what is in it is run as root.
const probeScript = `
umask 022
alone() {
	at=$1 last=
	while :; do
		set -- $(ls -ldn "$at")
		case "$1$last" in d????-??-* | d????????t*/) ;; *) return 1 ;; esac
		[ "$3" = 0 ] || [ "$3" = "$(id -u)" ] || return 1
		[ "$at" != / ] || return 0
		at=${at%/*} last=/
		at=${at:-/}
	done
}
for d in $places; do
	t=$d/.tmp-$$ at=$d had=
	[ ! -e "$d" ] || had=1
	why=$({ mkdir -p "$d" && { [ "$d" = "${places%% *}" ] || (alone "$d") || { echo "others may write there"; false; }; } &&
		{ rm -f "$t"; set -C; } && echo "#!/bin/sh" >"$t" && chmod 0755 "$t" && "$t"; } 2>&1) || at=-
	[ $at != - ] || [ ! -s "$t" ] || why="no program may run there (noexec)"
	rm -f "$t" 2>/dev/null
	[ $at = - ] || break
	[ "$had" ] || rmdir "$d" 2>/dev/null
	said="${said:+$said; }$d: ${why##*: }"
done
echo "` + probeMark + ` $(uname -s) $(uname -m) $(command -v gzip || echo -) $at"
[ $at != - ] || { echo "$said" >&2; exit 1; }`

// probeScript asks which agent a server needs, and where it goes.
func (c *Conn) probeScript() string {
	return "places=" + quote(strings.Join(c.d.paths.places(), " ")) + probeScript
}

// probedBy is which agent a server needs, by what it said where the agent is missing, or when
// it is asked.
func (c *Conn) probedBy(ctx context.Context, err error) (probed, error) {
	var missing *missingError
	if errors.As(err, &missing) && strings.Contains(missing.said, probeMark) {
		return c.judge(missing.said, nil)
	}
	return c.judge(c.run(ctx, c.probeScript(), nil))
}

// judge reads the answer to probeScript. Shell profiles may print text around it.
func (c *Conn) judge(out string, err error) (probed, error) {
	_, rest, found := strings.Cut(out, probeMark+" ")
	line, _, _ := strings.Cut(rest, "\n")
	fields := strings.Fields(line)
	switch answered := found && len(fields) == 4; {
	case !answered && (err == nil || errors.Is(err, ErrAgent)):
		return probed{}, c.bound(cmp.Or(lastLine(out), told(err)))
	case err != nil:
		return probed{}, fmt.Errorf("look for a place for the agent: %w", err)
	}
	if fields[0] != "Linux" {
		return probed{}, hint.Errorf(c.target.where(), "use a Linux server", "%w: %s runs %s, not Linux", ErrAgent, c.target.Name, fields[0])
	}
	return probed{arch: goarch(fields[1]), gzip: fields[2] != "-", place: fields[3]}, nil
}

// told is what a command complained of; "" without an error.
func told(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()[strings.LastIndex(err.Error(), ErrAgent.Error()+": ")+len(ErrAgent.Error()+": "):]
}

// goarch turns what uname -m says into GOARCH.
func goarch(machine string) string {
	switch {
	case machine == "x86_64":
		return "amd64"
	case machine == "aarch64":
		return "arm64"
	case strings.HasPrefix(machine, "i") && strings.HasSuffix(machine, "86"): // i386 to i686
		return "386"
	case strings.HasPrefix(machine, "armv"):
		return "arm"
	}
	return machine // riscv64, ppc64le, s390x, loong64 agree
}

// install uploads p and moves it into its place.
func (c *Conn) install(ctx context.Context, p *program, on probed) error {
	g, err := p.digest()
	if err != nil {
		return hint.With(err, c.target.where(), "")
	}
	version, err := p.version()
	if err != nil {
		return hint.With(err, c.target.where(), "")
	}
	rtt, err := c.shell.roundTrip()
	if err != nil {
		return hint.With(fmt.Errorf("install agent: %w", err), c.target.where(), "")
	}
	data, unpack := p.unpacked, "cat"
	if on.gzip && rtt > slowLink {
		data, unpack = p.packed, "gzip -dc"
	}
	upload, err := data()
	if err != nil {
		return hint.With(err, c.target.where(), "")
	}
	c.d.say(c.target, "installing agent %s for linux/%s, %d bytes (%s)", version, p.name(), len(upload), unpack)
	head := fmt.Sprintf("dir=%s version=%s size=%s sum=%s unpack=%s units=%s\n", quote(c.dir()), version,
		strconv.FormatInt(g.size, 10), g.sum, quote(unpack), quote(c.d.paths.unitDir()))
	if _, err := c.run(ctx, head+installScript, upload); err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	return nil
}

// run runs a POSIX shell script as root with input, and returns its output. Its time
// limit starts again with every piece of input that is sent.
func (c *Conn) run(ctx context.Context, script string, input []byte) (out string, err error) {
	err = c.rooted(func() error {
		out, err = c.runOnce(ctx, "sh -c "+oneLine(c.begins()+script), input)
		return err
	})
	return out, err
}

func (c *Conn) runOnce(ctx context.Context, command string, input []byte) (string, error) {
	ctx, p := newPatience(ctx, c.d.timeout())
	defer p.end()
	proc, err := c.start(ctx, p, command, "")
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { proc.abort(context.Cause(ctx)) })()
	sent := make(chan error, 1)
	go func() { sent <- feed(proc.in, input, p) }()
	var out bytes.Buffer
	_, readErr := io.Copy(&out, proc.out)
	status, err := proc.wait()
	sendErr := <-sent
	if status == 0 {
		// The server read what it needed, and succeeded.
		return out.String(), nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return "", hint.With(cause, c.target.where(), "")
	}
	return out.String(), c.ended("run command", proc, status, cmp.Or(err, readErr, sendErr))
}

// uploadPiece is how many bytes are sent before the time limit starts again.
const uploadPiece = 32 << 10

func feed(w io.WriteCloser, input []byte, p *patience) error {
	for len(input) > 0 {
		n, err := w.Write(input[:min(uploadPiece, len(input))])
		if err != nil {
			return errors.Join(err, w.Close())
		}
		input = input[n:]
		p.again()
	}
	return w.Close()
}

package capture

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Sink is where the packets of a capture go, in the order of their time: to a file, or out as
// lines.
type Sink struct {
	Points       []Point
	Count, Bytes int // after which it is full; no Count: never
	Filter       string
	Snap         int                                    // bytes of each packet at most
	Program      string                                 // that writes, with its version
	File         io.Writer                              // nil: lines
	Line         func(format string, args ...any) error // prints one
	Document     func(Document) error                   // prints one instead; nil: lines are text
	Gone         func(error)                            // told at once why a point takes no part, or left
	Absent       map[int]error                          // the same by point

	began          time.Time
	sources        map[int]Source
	merger         *Merger
	file           *File
	lost           map[int]int
	packets, bytes int
	size           int // of the packets in a file
	full           bool
	err            error
}

// Bound sets the size, as 500, 10K, 100M, 1G, and refuses what is no bound.
func (s *Sink) Bound(size string, within time.Duration) (err error) {
	switch {
	case within < 0:
		return hint.Errorf("--for", "--for 10s", "%s is no time", within)
	case s.Count < 0:
		return hint.Errorf("--count", "--count 100", "%d is no number of packets", s.Count)
	case s.Snap < 1 || s.Snap > MostSnap:
		return hint.Errorf("--snaplen", "--snaplen 96", "%d is not from 1 to %d bytes", s.Snap, MostSnap)
	}
	s.Bytes, err = byteCount(size)
	return err
}

func byteCount(text string) (int, error) {
	digits := strings.TrimRight(text, "KMGkmg")
	unit := map[string]int{"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[strings.ToUpper(text[len(digits):])]
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || unit == 0 || n > 1<<40/unit {
		return 0, hint.Errorf("--size", "--size 100M", "%q is no size such as 500K, 100M, 1G", text)
	}
	return n * unit, nil
}

// Begin is called when the points that answer have begun, and says which they are.
func (s *Sink) Begin(sources map[int]Source, absent map[int]error, within time.Duration) (says string, err error) {
	s.sources, s.Absent, s.began, s.lost = sources, absent, time.Now(), map[int]int{}
	var all []int
	var on []string
	for i, p := range s.Points {
		if from, there := sources[i]; there {
			all = append(all, i)
			text := p.String()
			if from.Skew != 0 {
				text += " (clock corrected by " + (-from.Skew).Round(time.Microsecond).String() + ")"
			}
			on = append(on, text)
		}
	}
	s.merger = NewMerger(s.began, all...)
	if s.File != nil {
		s.file = NewFile(s.File, s.Program, s.Filter, s.Snap, s.Points, sources)
		s.err = s.file.Flush()
	}
	for _, i := range slices.Sorted(maps.Keys(absent)) {
		s.gone(i)
	}
	if len(on) == 0 {
		return "no server answers", s.err
	}
	says = "capturing on " + strings.Join(on, ", ")
	if within > 0 {
		says += " for " + within.String()
	}
	return says + "; an interrupt ends it", s.err
}

// Take takes in what came, and says whether there is to be more.
func (s *Sink) Take(got Taken) bool {
	if s.merger.Add(got.Point, got.Packets, got.Until); got.Err == nil {
		s.lost[got.Point] = got.Lost
	}
	if got.Last {
		s.merger.Leave(got.Point, got.Err != nil)
		if got.Err != nil {
			at := s.Points[got.Point]
			s.Absent[got.Point] = hint.With(fmt.Errorf("%s: %w", at.Device, got.Err), "server "+at.Server, "")
			s.gone(got.Point)
		}
	}
	s.put(s.merger.Next())
	return !s.full && s.err == nil
}

func (s *Sink) gone(point int) {
	if s.Gone != nil {
		s.Gone(s.Absent[point])
	}
}

// put writes packets, as many as are wanted.
func (s *Sink) put(list []Packet) {
	for _, p := range list {
		if s.full || s.err != nil {
			return
		}
		if s.file != nil {
			s.file.Packet(p)
		} else {
			s.err = s.show(p)
		}
		s.packets++
		s.bytes += len(p.Bytes)
		s.size += len(p.Bytes) + packetBlock
		s.full = s.packets == s.Count || s.size >= s.Bytes
	}
	if s.file != nil && s.err == nil {
		s.err = s.file.Flush()
	}
}

// Document is a packet as JSON has it.
type Document struct {
	Time      time.Time `json:"time"` // UTC
	Server    string    `json:"server"`
	Device    string    `json:"device"`
	Direction string    `json:"direction"` // in, out
	Length    int       `json:"length"`    // bytes, with those that were not taken
	Text      string    `json:"text"`
}

func (s *Sink) show(p Packet) error {
	at, way, text := s.Points[p.Point], "in", p.Text(s.sources[p.Point])
	if p.Out {
		way = "out"
	}
	if s.Document == nil {
		return s.Line("%s %s %s %s %s\n", p.Time.Local().Format("15:04:05.000000"), at.Server, at.Device, way, text)
	}
	return s.Document(Document{p.Time.UTC(), at.Server, at.Device, way, p.Length, text})
}

// End writes what is left, and says what there was. lossy: kernels had no room for some.
func (s *Sink) End() (says string, lossy bool, err error) {
	s.put(s.merger.Rest())
	var lost []string
	for i, p := range s.Points {
		if s.file != nil {
			s.file.Lost(i, s.lost[i])
		}
		if s.lost[i] > 0 {
			lost = append(lost, fmt.Sprintf("%d on %s", s.lost[i], p))
		}
	}
	if s.file != nil && s.err == nil {
		s.err = s.file.Flush()
	}
	says = fmt.Sprintf("%d packets, %d bytes, in %s; ", s.packets, s.bytes, time.Since(s.began).Round(100*time.Millisecond))
	if len(lost) == 0 {
		return says + "the kernels had room for all", false, s.err
	}
	return says + "the kernels had no room for " + strings.Join(lost, ", "), true, s.err
}

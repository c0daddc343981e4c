package view

import (
	"strconv"
	"time"

	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// Generation is a generation of the cluster file, as history prints it.
type Generation struct {
	Generation uint64 `json:"generation"`
	Saved      string `json:"saved,omitempty"`  // RFC 3339
	Change     string `json:"change,omitempty"` // the command
	Current    bool   `json:"current"`
}

// GenerationTable has one row per generation; the present one is marked.
func GenerationTable(views []Generation) *screen.Table {
	t := &screen.Table{Head: []string{"GENERATION", "SAVED", "CHANGE"}}
	for _, v := range views {
		number := strconv.FormatUint(v.Generation, 10)
		if v.Current {
			number += " *"
		}
		t.Add(number, v.Saved, v.Change)
	}
	return t
}

// Generations are the generations of a cluster file, in their order.
func Generations(list []state.Generation) []Generation {
	out := []Generation{}
	for _, g := range list {
		v := Generation{Generation: g.Number, Change: g.Change, Current: g.Current}
		if !g.Saved.IsZero() {
			v.Saved = g.Saved.Format(time.RFC3339)
		}
		out = append(out, v)
	}
	return out
}

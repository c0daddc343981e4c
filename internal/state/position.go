package state

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position finds where key is set in data: the deepest part of it that has a
// line of its own. The zero place is returned when there is none.
func position(data []byte, key []string) place {
	p, _ := find(data, key)
	return p
}

// find is position, and says how many parts of key the place is for.
func find(data []byte, key []string) (place, int) {
	var p unstable.Parser
	p.Reset(data)
	var table []string
	best, at := 0, unstable.Range{}
	for p.NextExpression() {
		node := p.Expression()
		var full []string
		if node.Kind == unstable.KeyValue {
			full = append(full, table...)
		}
		raw := unstable.Range{}
		for it := node.Key(); it.Next(); {
			full = append(full, string(it.Node().Data))
			if n := len(full); n > best && n <= len(key) && full[n-1] == key[n-1] {
				raw = it.Node().Raw
			}
		}
		if node.Kind != unstable.KeyValue {
			table = full
		}
		if n := shared(full, key); n > best && raw.Length > 0 {
			best, at = n, raw
		}
		if best == len(key) {
			break
		}
	}
	if best == 0 {
		return place{}, 0
	}
	return placeOf(data, int(at.Offset)), best
}

// placeOf is the line and column, in bytes, of an offset in data; both from 1.
func placeOf(data []byte, offset int) place {
	before := data[:offset]
	return place{bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')}
}

// shared is how many parts a and b have in common from the start.
func shared(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// readTop reads the top of a file and stops at the first table, so that it costs
// the same for a file of any size. Values are as written, strings without their
// quotes. What is malformed is left to the strict decoder.
func readTop(data []byte) map[string]string {
	var p unstable.Parser
	p.Reset(data)
	out := map[string]string{}
	for p.NextExpression() {
		node := p.Expression()
		if node.Kind != unstable.KeyValue {
			break
		}
		key := node.Key()
		if key.Next(); key.IsLast() {
			out[string(key.Node().Data)] = string(node.Value().Data)
		}
	}
	return out
}

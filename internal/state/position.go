package state

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is where key is set in data: the longest part of it that has a line of its
// own. It is the zero place if there is none.
func position(data []byte, key []string) place {
	p, _ := find(data, key)
	return p
}

// find is position, and says how many parts of key have that place.
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

// shared is how many parts a and b have in common at the start.
func shared(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// readTop reads a file up to the first table, so that it costs the same for a file of
// any size. Values are as written, strings without quotes. Syntax errors are left to the
// strict decoder.
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

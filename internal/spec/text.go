package spec

import (
	"fmt"
	"net/netip"
	"strconv"
)

// line builds the text form: words, then key-value pairs that have a value.
type line []byte

func (l *line) String() string { return string(*l) }

func (l *line) add(words ...string) {
	for i, word := range words {
		if i > 0 {
			*l = append(*l, ' ')
		}
		*l = append(*l, word...)
	}
}

// word begins the value of key. It is called in so many places that a copy in each is
// several KB of the agent.
//
//go:noinline
func (l *line) word(key string) {
	*l = append(*l, ' ')
	*l = append(*l, key...)
	*l = append(*l, ' ')
}

func (l *line) str(key, value string) {
	if value != "" {
		l.word(key)
		*l = append(*l, value...)
	}
}

func (l *line) num(key string, n int) {
	if n != 0 {
		l.word(key)
		*l = strconv.AppendInt(*l, int64(n), 10)
	}
}

func (l *line) addr(key string, a netip.Addr) {
	if a.IsValid() {
		l.word(key)
		*l = a.AppendTo(*l)
	}
}

func (l *line) flag(word string, on bool) {
	if on {
		*l = append(*l, ' ')
		*l = append(*l, word...)
	}
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

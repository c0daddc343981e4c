package wire

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The strings of JSON (RFC 8259, section 7), as encoding/json writes and reads them.

// escapes are the letters that may come after a backslash, besides u, and escaped is what
// each stands for. A slash is read as \/ and written as it is.
const (
	escapes = `"\bfnrt/`
	escaped = "\"\\\b\f\n\r\t/"
	written = len(escaped) - 1
)

// asNumber are printed characters that are written as numbers all the same: HTML and
// JavaScript would take them for their own.
const asNumber = "<>&\u2028\u2029"

// appendString appends s in quotes. Bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	if !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) }) {
		return append(append(b, s...), '"')
	}
	const hex = "0123456789abcdef"
	for i, c := range s {
		at := strings.IndexRune(escaped[:written], c)
		switch broken := c == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"); {
		case at >= 0:
			b = append(b, '\\', escapes[at])
		case broken || c < ' ' || strings.ContainsRune(asNumber, c):
			b = append(b, '\\', 'u', hex[c>>12], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

// endOfString returns where the string that begins at from ends, -1 if it does not or is
// none, and whether the text between the quotes is what it says, byte for byte.
func endOfString(data []byte, from int) (end int, verbatim bool) {
	verbatim = true
	for i := from + 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return i + 1, verbatim
		case c == '\\':
			n := escape(data[i:])
			if n == 0 {
				return -1, false
			}
			i += n - 1
			verbatim = false
		case c < ' ':
			return -1, false
		case c > '~':
			verbatim = false
		}
	}
	return -1, false
}

// escape is how many bytes the escape is long with which text begins, 0 if it is none.
func escape(text []byte) int {
	switch {
	case len(text) < 2:
	case strings.IndexByte(escapes, text[1]) >= 0:
		return 2
	case text[1] == 'u' && unit(text) >= 0:
		return 6
	}
	return 0
}

// unit is the number in an escape like \u00e9; -1 if text does not begin with one.
func unit(text []byte) rune {
	if len(text) < 6 || !bytes.HasPrefix(text, []byte(`\u`)) {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// unescaped is what the text between the quotes of a string says, in which endOfString
// found nothing wrong. Half a surrogate pair is U+FFFD.
func unescaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		if text[0] != '\\' {
			out, text = append(out, text[0]), text[1:]
			continue
		}
		n := escape(text)
		if n == 2 {
			out, text = append(out, escaped[strings.IndexByte(escapes, text[1])]), text[2:]
			continue
		}
		c := unit(text)
		if text = text[n:]; utf16.IsSurrogate(c) {
			if c = utf16.DecodeRune(c, unit(text)); c != utf8.RuneError {
				text = text[n:]
			}
		}
		out = utf8.AppendRune(out, c)
	}
	return out
}

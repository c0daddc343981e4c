//go:build linux

package guest

import "strings"

// XML is read as libvirt writes it: well-formed, and without a document type. A parser of all of
// XML would be a tenth of the agent.

// element is one of XML.
type element struct {
	name   string
	tag    string // what begins it, from < to >
	inside string // what is between that and its end
	whole  string // all of it, as it stands there
}

// elements are those directly in text. What is damaged ends it.
func elements(text string) []*element {
	var out []*element
	var open *element
	begin, inner, depth := 0, 0, 0
	for at := 0; ; {
		i := strings.IndexByte(text[at:], '<')
		if i < 0 {
			return out
		}
		at += i
		end := tagEnd(text[at:])
		if end < 0 {
			return out
		}
		from, tag := at, text[at:at+end]
		at += end
		switch {
		case strings.HasPrefix(tag, "<!"), strings.HasPrefix(tag, "<?"):
			continue
		case strings.HasPrefix(tag, "</"):
			if depth--; depth < 0 {
				return out
			}
			if depth == 0 {
				open.inside, open.whole = text[inner:from], text[begin:at]
				out = append(out, open)
			}
			continue
		}
		if depth == 0 {
			begin, inner, open = from, at, &element{name: tagName(tag), tag: tag}
		}
		switch closed := strings.HasSuffix(tag, "/>"); {
		case closed && depth == 0:
			open.whole = tag
			out = append(out, open)
		case !closed:
			depth++
		}
	}
}

// tagEnd is how long what begins with < is, to its >; -1 where it has none.
func tagEnd(text string) int {
	for _, of := range [][2]string{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if strings.HasPrefix(text, of[0]) {
			i := strings.Index(text, of[1])
			if i < 0 {
				return -1
			}
			return i + len(of[1])
		}
	}
	var quote byte
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'', c == '"':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return -1
}

func tagName(tag string) string {
	return tag[1 : 1+strings.IndexAny(tag[1:], " \t\r\n/>")]
}

// child is the first element of a name in e; it has no name where there is none.
func (e *element) child(name string) *element {
	for _, c := range elements(e.inside) {
		if c.name == name {
			return c
		}
	}
	return &element{}
}

// attr is the value of an attribute of e; "" where it has none.
func (e *element) attr(name string) string { return unescape.Replace(Attr(e.tag, name)) }

// Attr is the value of an attribute of a tag as it stands there; "" where it has none.
func Attr(tag, name string) string {
	tag = strings.NewReplacer("\n", " ", "\t", " ").Replace(tag)
	for _, quote := range []string{"'", `"`} {
		if _, rest, found := strings.Cut(" "+tag, " "+name+"="+quote); found {
			value, _, _ := strings.Cut(rest, quote)
			return value
		}
	}
	return ""
}

// text is what is written in e, without elements.
func (e *element) text() string { return unescape.Replace(strings.TrimSpace(e.inside)) }

var (
	escape   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;")
	unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&apos;", "'", "&quot;", `"`, "&amp;", "&")
)

package wire

// Members of an object whose text is somebody else's, such as a configuration that people write:
// one is read or replaced, and all else stays to the byte.

// place is where a member stands in the text of an object, and where another one would.
type place struct {
	begin    int // the end of the member before it, or of the brace
	from, to int // its value; 0, 0 if there is no such member
	first    bool
	next     int // after the comma behind it; 0 for the last one

	last   int    // the end of the last member, or of the brace
	indent string // what stands before the first one
	empty  bool
}

// find looks for a member of the object that text is. Of several of one name the last holds.
func find(text, name string) (place, error) {
	r := newReader([]byte(text))
	if !r.take('{') {
		return place{}, errType
	}
	p := place{last: r.at}
	p.empty = r.peek() == '}'
	p.indent = text[p.last:r.at]
	for first := true; !first || !p.empty; first = false {
		begin := p.last
		key, err := r.quoted()
		if err != nil {
			return p, err
		}
		if !r.take(':') {
			return p, errSyntax
		}
		value, err := r.skip()
		if err != nil {
			return p, err
		}
		p.last = r.at
		is := string(key) == name
		if is {
			p.begin, p.from, p.to, p.first, p.next = begin, r.at-len(value), r.at, first, 0
		}
		if !r.take(',') {
			break
		}
		if is {
			p.next = r.at
		}
	}
	if !r.take('}') {
		return p, errSyntax
	}
	if r.peek() != 0 || r.at != len(text) {
		return p, errSyntax
	}
	return p, nil
}

// Member is the value of a member of the object that text is, as it stands there; "" if there is no
// such member. An error is about text that is no object.
func Member(text, name string) (string, error) {
	p, err := find(text, name)
	if err != nil {
		return "", err
	}
	return text[p.from:p.to], nil
}

// WithMember is the object that text is with value, which is JSON, for a member: in the place of its
// own, or behind all others. Where value is "" it is the object without that member.
func WithMember(text, name, value string) (string, error) {
	p, err := find(text, name)
	switch {
	case err != nil:
		return "", err
	case p.to > 0 && value != "":
		return text[:p.from] + value + text[p.to:], nil
	case p.to > 0 && p.first && p.next > 0:
		return text[:p.begin] + text[p.next:], nil
	case p.to > 0:
		return text[:p.begin] + text[p.to:], nil
	case value == "":
		return text, nil
	case p.empty:
		return text[:p.last] + string(appendString(nil, name)) + ": " + value + text[p.last:], nil
	}
	return text[:p.last] + "," + p.indent + string(appendString(nil, name)) + ": " + value + text[p.last:], nil
}

package screen

import (
	"io"
	"regexp"
	"strings"
)

// Packaged is what packages of distributions call the program: flock is a name that they have
// given to the file lock of util-linux.
const Packaged = "flocknet"

// Called is w, with the commands in what is written to it under the name that the program was
// called by: "next: flock apply" works when it is pasted. Commands are the names of all. A line
// with a command is expected to come in one piece.
func Called(w io.Writer, name string, commands []string) io.Writer {
	return &called{w: w, name: name, words: regexp.MustCompile(`(^|[^\w./-])flock((?: -[\w-]+(?:[= ][^\s-]\S*)?)*(?: (?:` + strings.Join(commands, "|") + `)\b|: ))`)}
}

// Below is the stream below a Called one, for programs that are to write to it themselves.
func Below(w io.Writer) io.Writer {
	if c, ok := w.(*called); ok {
		return c.w
	}
	return w
}

type called struct {
	w     io.Writer
	name  string
	words *regexp.Regexp
}

func (c *called) Write(p []byte) (int, error) {
	text := c.words.ReplaceAll(p, []byte("${1}"+c.name+"${2}"))
	if n, err := c.w.Write(text); err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}

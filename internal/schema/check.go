package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
)

// Set are the schemas of a directory.
type Set struct{ of map[string]*jsonschema.Schema }

// Load reads the schemas of a directory, a file COMMAND.json each. For readers of documents they
// are open: fields may come. Here they are closed: a document of this program has no field that
// its schema does not have.
func Load(dir string) (*Set, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		closeAll(doc)
		if err := c.AddResource(base+filepath.Base(file), doc); err != nil {
			return nil, err
		}
	}
	s := &Set{of: map[string]*jsonschema.Schema{}}
	for _, file := range files {
		name := filepath.Base(file)
		if s.of[strings.TrimSuffix(name, ".json")], err = c.Compile(base + name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const base = "flock:///"

// closeAll has each object of a schema have the properties that it names, and no others.
func closeAll(value any) {
	switch v := value.(type) {
	case map[string]any:
		if v["properties"] != nil && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inside := range v {
			closeAll(inside)
		}
	case []any:
		for _, inside := range v {
			closeAll(inside)
		}
	}
}

// Check holds what a command printed against its schema: any number of documents, which it
// counts.
func (s *Set) Check(command string, printed []byte) (n int, err error) {
	d := json.NewDecoder(bytes.NewReader(printed))
	d.UseNumber()
	for ; ; n++ {
		var doc any
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("flock %s -o json prints what is no JSON: %w", command, err)
		}
		schema := s.of[strings.ReplaceAll(command, " ", "-")]
		if object, ok := doc.(map[string]any); ok && schema == nil && object["error"] != nil {
			schema = s.of["error"]
		}
		if schema == nil {
			return n, fmt.Errorf("docs/schema has no %s.json", strings.ReplaceAll(command, " ", "-"))
		}
		if err := schema.Validate(doc); err != nil {
			return n, fmt.Errorf("flock %s -o json: %w", command, err)
		}
	}
}

// Asked is the command of root that args call, below the program, and whether they ask it for
// JSON.
func Asked(root *cobra.Command, args []string) (command string, asked bool) {
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasParent() || cmd.ParseFlags(rest) != nil {
		return "", false
	}
	f := cmd.Flags()
	short, _ := f.GetBool("json") // one without it prints none
	form := f.Lookup("output")
	return strings.Join(strings.Fields(cmd.CommandPath())[1:], " "), short || form != nil && form == cmd.InheritedFlags().Lookup("output") && form.Value.String() == "json"
}
